"""Prompt templates: turns of a conversation to token ids and labels, the same for training and for inference.

Each turn is tokenised by itself and the pieces are joined, as Prismatic VLMs do
(https://github.com/TRI-ML/prismatic-vlms): the ids of a prompt never depend on the answer that follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from merv.chat import IGNORE_INDEX, Turn
from merv.errors import SampleError


@dataclass(frozen=True)
class Encoded:
    """Token ids and labels of a conversation, equally long."""

    ids: list[int]
    labels: list[int]
    """`IGNORE_INDEX` where the user speaks, the ids where the assistant does."""


@dataclass(frozen=True)
class PromptTemplate:
    """Text around the messages of a base model: `In: question` / `Out: answer</s>`."""

    system: str = ""
    """Text before the first question."""
    before_user: str = "In: "
    after_user: str = "\nOut:"
    before_answer: str = ""
    """A space for tokenizers that keep it with the word that follows (byte-level BPE); SentencePiece adds its own."""
    between: str = "\n"
    """Put before every question but the first."""

    def encode(self, turns: Sequence[Turn], tokenizer: Any, *, answer: bool = True) -> Encoded:
        """Token ids and labels of a conversation; with `answer=False` it ends where the model is to speak.

        Raises:
            SampleError: the turns do not alternate user, assistant, ... or an answer is missing.
        """
        turns = _without_system(turns)
        self._check(turns, answer)
        if not answer and turns[-1].role == "assistant":
            turns = turns[:-1]
        ids: list[int] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        labels = [IGNORE_INDEX] * len(ids)
        for number, turn in enumerate(turns):
            is_answer = turn.role == "assistant"
            piece = tokenizer(self._wrap(turn, number), add_special_tokens=False).input_ids
            if is_answer:
                piece = [*piece, tokenizer.eos_token_id]
            ids += piece
            labels += piece if is_answer else [IGNORE_INDEX] * len(piece)
        return Encoded(ids, labels)

    def _wrap(self, turn: Turn, number: int) -> str:
        text = turn.text.strip()
        if turn.role == "assistant":
            return self.before_answer + text
        return (self.system if number == 0 else self.between) + self.before_user + text + self.after_user

    @staticmethod
    def _check(turns: Sequence[Turn], answer: bool) -> None:
        expected = ["assistant" if i % 2 else "user" for i in range(len(turns))]
        found = [turn.role for turn in turns]
        if not turns or found != expected:
            raise SampleError(f"turns are {found or 'empty'}; expected user, assistant, user, ... in turn")
        if answer and found[-1] != "assistant":
            raise SampleError("the conversation ends with a question; a training row needs its answer")


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Fold a leading system message into the first question: base templates have no place of their own for it."""
    turns = list(turns)
    if len(turns) > 1 and turns[0].role == "system":
        turns = [Turn("user", f"{turns[0].text.strip()}\n{turns[1].text.strip()}"), *turns[2:]]
    return turns
