"""Prompts exactly as the original MERV makes them, for checkpoints trained with it (protocol `reference`).

They differ from ours (templates.py) where the original is wrong: a second BOS before `[INST]`, a tag `<<SYS>` left
open, header templates whose system message and last line breaks stand in prompts but not in training rows, `<video>`
left in the text, an empty answer learned as a space.  After https://github.com/princetonvisualai/merv, its prompt
builders, `FinetuneVideoDataset` and `AlignVideoDataset`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from merv.backbones.llm.prompts import Encoded, last_answer, spoken_turns
from merv.backbones.llm.templates import MERV_SYSTEM, VICUNA_SYSTEM
from merv.chat import IGNORE_INDEX, Turn
from merv.errors import SampleError


@dataclass(frozen=True)
class ReferenceTemplate:
    """Text around the messages, and what the original does with them."""

    before_user: str
    after_user: str
    bos: str = ""
    """Text put before every question; a prompt, but no training row, loses the first one."""
    system: str = ""
    """Everything before the first question; `{}` is where the system message goes."""
    system_message: str = ""
    """What goes there unless the conversation brings its own."""
    own_system: Literal["taken", "ignored", "refused"] = "taken"
    """What becomes of a system message in the conversation."""
    trains_system: bool = True
    """Whether the system message stands in training rows, or in prompts only."""
    tidies: bool = True
    """Whether `<image>` and outer space are taken from messages and prompts, and an empty answer becomes a space."""
    end: str = "</s>"
    """Text put behind answers."""
    caption_end: str | None = None
    """Text put behind captions; None means the tokenizer's EOS."""

    def encode(self, turns: Sequence[Turn], tokenizer: Any, *, answer: bool = True) -> Encoded:
        """Token ids and labels of a conversation; with `answer=False` it ends where the model is to speak.

        A training row is tokenised turn by turn without space at the ends, a prompt all at once.

        Raises:
            SampleError: turns out of order, an answer is missing, or a system message the original has no place for.
        """
        if not answer:
            prompt = tokenizer(self.prompt(turns)).input_ids
            return Encoded(prompt, [IGNORE_INDEX] * len(prompt))
        ids: list[int] = []
        labels: list[int] = []
        for number, text in enumerate(self._wrapped(turns, answer=True)):
            piece = tokenizer(text.rstrip(), add_special_tokens=number == 0).input_ids
            ids += piece
            labels += piece if number % 2 else [IGNORE_INDEX] * len(piece)
        return Encoded(ids, labels)

    def encode_caption(self, turns: Sequence[Turn], tokenizer: Any) -> Encoded:
        """The last answer alone, without its question: a row of the stage `align`.

        The first token carries no loss: it is the BOS or, for a tokenizer without one, the caption's first word.

        Raises:
            SampleError: the last turn is no answer.
        """
        end = tokenizer.eos_token if self.caption_end is None else self.caption_end
        ids = tokenizer(last_answer(turns).strip() + end).input_ids
        return Encoded(ids, [IGNORE_INDEX, *ids[1:]])

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The text of a prompt, up to where the model is to speak; the tokenizer puts its BOS before it.

        Raises:
            SampleError: turns out of order, or a system message the original has no place for.
        """
        text = "".join(self._wrapped(turns, answer=False))
        if not self.trains_system:
            text = self.system.format(self.system_message) + text
        return text.removeprefix(self.bos).rstrip() if self.tidies else text

    def _wrapped(self, turns: Sequence[Turn], *, answer: bool) -> list[str]:
        """The text of each turn."""
        turns = list(turns)
        message = self.system_message
        if turns and turns[0].role == "system":
            message = self._own_system(turns.pop(0).text)
        opening = self.system.format(message) if self.trains_system else ""
        spoken = spoken_turns(turns, answer=answer)
        return [self._wrap(turn, "" if number else opening) for number, turn in enumerate(spoken)]

    def _wrap(self, turn: Turn, opening: str) -> str:
        text = turn.text.replace("<image>", "").strip() if self.tidies else turn.text
        if turn.role == "assistant":
            return (" " if self.tidies and not text else text) + self.end
        return self.bos + (opening or self.before_user) + text + self.after_user

    def _own_system(self, text: str) -> str:
        if self.own_system == "refused":
            raise SampleError("protocol reference: this template has no place for a system message; use protocol merv")
        return text.strip() if self.own_system == "taken" else self.system_message


PURE = ReferenceTemplate("In: ", "\nOut: ", own_system="ignored")
LLAMA2_CHAT = ReferenceTemplate(
    before_user="[INST] ",
    after_user=" [/INST] ",
    bos="<s>",
    system="[INST] <<SYS>\n{}\n<</SYS>>\n\n",
    system_message=MERV_SYSTEM,
)
VICUNA = ReferenceTemplate("USER: ", " ASSISTANT: ", system="{} USER: ", system_message=VICUNA_SYSTEM)
LLAMA31 = ReferenceTemplate(
    before_user="<|start_header_id|>user<|end_header_id|>\n\n",
    after_user="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
    system_message=MERV_SYSTEM,
    own_system="refused",
    trains_system=False,
    tidies=False,
    end="<|eot_id|>",
)
QWEN2 = ReferenceTemplate(
    before_user="<|im_start|>user\n",
    after_user="<|im_end|>\n<|im_start|>assistant\n",
    system="<|im_start|>system\n{}<|im_end|>\n",
    system_message=MERV_SYSTEM,
    own_system="refused",
    trains_system=False,
    tidies=False,
    end="<|im_end|>",
)

REFERENCE_TEMPLATES = {
    "pure": PURE,
    "llama2-chat": LLAMA2_CHAT,
    "vicuna": VICUNA,
    # The original gives Llama 3 the tags of Llama 2, as plain text, and the base model's tokenizer.
    "llama3-chat": replace(LLAMA2_CHAT, caption_end="<|end_of_text|>"),
    "llama3.1": LLAMA31,
    "qwen2": QWEN2,
}
"""The original's prompt builders, and its Llama 3 chat model, by name."""
