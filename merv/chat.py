"""Turns of a conversation, and the label that carries no loss: what data and language models both speak of."""

from dataclasses import dataclass
from typing import Literal

IGNORE_INDEX = -100
"""Label of a position that carries no loss."""

Role = Literal["user", "assistant", "system"]


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: Role
    text: str
