"""Turns of a conversation, and the label that carries no loss: what data and language models both speak of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

IGNORE_INDEX = -100
"""Label of a position that carries no loss."""

MEDIA = "<|merv:media|>"
"""Stands in a turn's text where a video or an image is shown, one for each medium of the sample, in their order."""

Role = Literal["user", "assistant", "system"]


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: Role
    text: str


def without_media_marks(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns as a model reads them that puts media where it always does; a line that was a mark alone goes."""
    return tuple(Turn(turn.role, _unmarked(turn.text)) if MEDIA in turn.text else turn for turn in turns)


def _unmarked(text: str) -> str:
    return text.replace(f"{MEDIA}\n", "").replace(MEDIA, "").strip()
