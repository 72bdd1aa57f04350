"""What an agent answers: a reply, and the record of how it came about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from merv.models.reply import Reply

Moment = tuple[float, float, float]
"""Start and end in seconds of the video, and a score 0..1."""


@dataclass(frozen=True)
class Candidate:
    """A stretch of the video that may be the one, with what the roles make of it."""

    start: float
    end: float
    grounder: float
    """Score of the role that found it, 0..1; 0 when it is a guess."""
    verifier: float | None = None
    """Score of the verifier, 0..1; None when it was not asked or could not be shown it."""

    @property
    def window(self) -> tuple[float, float]:
        """Start and end in seconds."""
        return self.start, self.end

    def plain(self) -> dict[str, float | None]:
        """The same as JSON holds it."""
        return {"start": self.start, "end": self.end, "grounder": self.grounder, "verifier": self.verifier}


@dataclass(frozen=True)
class ChainReply(Reply):
    """An agent's answer: text, spans best first, and every step; the same question gives the same record."""

    record: Mapping[str, Any] = field(default_factory=dict)
    """What each role was asked and said, see docs/agent.md; plain values, as JSON holds them."""
