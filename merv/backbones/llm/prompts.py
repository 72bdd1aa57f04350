"""Prompt templates: turns of a conversation to token ids and labels, the same for training and for inference.

Each turn is tokenised by itself and the pieces are joined, as Prismatic VLMs do
(https://github.com/TRI-ML/prismatic-vlms): the ids of a prompt never depend on the answer that follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from merv.chat import IGNORE_INDEX, Turn
from merv.errors import SampleError


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of a conversation, equally long."""

    ids: list[int]
    labels: list[int]
    """`IGNORE_INDEX` where the user speaks, the ids where the assistant does."""


class Template(Protocol):
    """What a model needs of a template; it is data, and travels to worker processes."""

    @property
    def end(self) -> str | None:
        """Token that ends an answer; None means the tokenizer's EOS."""

    def encode(self, turns: Sequence[Turn], tokenizer: Any, *, answer: bool = True) -> Encoded:
        """Token ids and labels of a conversation; with `answer=False` it ends where the model is to speak."""

    def encode_caption(self, turns: Sequence[Turn], tokenizer: Any) -> Encoded:
        """The last answer alone, without its question: what the original aligns its projectors with."""


@dataclass(frozen=True)
class PromptTemplate:
    """Text around the messages of a base model: `In: question` / `Out: answer</s>`."""

    system: str = ""
    """System message of a conversation that brings none; empty for none."""
    before_system: str = ""
    after_system: str = ""
    system_in_question: bool = False
    """Put the system message inside the first question, behind `before_user`, as Llama 2 does."""
    before_user: str = "In: "
    after_user: str = "\nOut:"
    before_answer: str = ""
    """A space for tokenizers that keep it with the word that follows (byte-level BPE); SentencePiece adds its own."""
    between: str = "\n"
    """Put before every question but the first."""
    bos_between: bool = False
    """Begin every exchange with the BOS, not only the first: to Llama 2 each is a sequence of its own."""
    end: str | None = None
    """Token that ends an answer; None means the tokenizer's EOS."""

    def encode(self, turns: Sequence[Turn], tokenizer: Any, *, answer: bool = True) -> Encoded:
        """Token ids and labels of a conversation; with `answer=False` it ends where the model is to speak.

        Raises:
            SampleError: the turns do not alternate user, assistant, ... or an answer is missing.
        """
        system, turns = self._system(turns)
        turns = spoken_turns(turns, answer=answer)
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        ids = list(bos)
        labels = [IGNORE_INDEX] * len(ids)
        for number, turn in enumerate(turns):
            is_answer = turn.role == "assistant"
            text = self._wrap(turn, system if number == 0 else None)
            piece = tokenizer(text, add_special_tokens=False).input_ids
            if is_answer:
                piece = [*piece, self._end_id(tokenizer)]
            elif number and self.bos_between:
                piece = [*bos, *piece]
            ids += piece
            labels += piece if is_answer else [IGNORE_INDEX] * len(piece)
        return Encoded(ids, labels)

    def encode_caption(self, turns: Sequence[Turn], tokenizer: Any) -> Encoded:
        """The last answer alone, without its question: what the original aligns its projectors with.

        The first position carries no loss: it is the BOS or, for a tokenizer without one, a word nothing precedes.

        Raises:
            SampleError: the last turn is no answer.
        """
        piece = tokenizer(last_answer(turns).strip(), add_special_tokens=False).input_ids
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        ids = [*bos, *piece, self._end_id(tokenizer)]
        return Encoded(ids, [IGNORE_INDEX, *ids[1:]])

    def _wrap(self, turn: Turn, system: str | None) -> str:
        """The text of a turn; `system` is None after the first question."""
        text = turn.text.strip()
        if turn.role == "assistant":
            return self.before_answer + text
        if system is None:
            return self.between + self.before_user + text + self.after_user
        block = self.before_system + system + self.after_system if system else ""
        parts = (self.before_user, block) if self.system_in_question else (block, self.before_user)
        return "".join(parts) + text + self.after_user

    def _system(self, turns: Sequence[Turn]) -> tuple[str, list[Turn]]:
        """The system message and the other turns; a template without a place for it has it before the question."""
        turns = list(turns)
        if len(turns) < 2 or turns[0].role != "system":
            return self.system, turns
        own, first = turns[0].text.strip(), turns[1]
        if self.system or self.before_system:
            return own, turns[1:]
        return "", [Turn(first.role, f"{own}\n{first.text.strip()}"), *turns[2:]]

    def _end_id(self, tokenizer: Any) -> int:
        return tokenizer.eos_token_id if self.end is None else tokenizer.convert_tokens_to_ids(self.end)


def spoken_turns(turns: Sequence[Turn], *, answer: bool) -> list[Turn]:
    """The turns, found in order; without `answer`, up to the last question.

    Raises:
        SampleError: they do not alternate user, assistant, ... or an answer is missing.
    """
    expected = ["assistant" if i % 2 else "user" for i in range(len(turns))]
    found = [turn.role for turn in turns]
    if not turns or found != expected:
        raise SampleError(f"turns are {found or 'empty'}; expected user, assistant, user, ... in turn")
    if found[-1] == "assistant":
        return list(turns if answer else turns[:-1])
    if answer:
        raise SampleError("the conversation ends with a question; a training row needs its answer")
    return list(turns)


def last_answer(turns: Sequence[Turn]) -> str:
    """The text of the last turn.

    Raises:
        SampleError: it is no answer.
    """
    if not turns or turns[-1].role != "assistant":
        raise SampleError("the conversation ends without an answer; a caption is needed")
    return turns[-1].text
