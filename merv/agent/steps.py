"""One question to one role: what it is asked, and its reply as plain values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from merv.agent.case import Case
from merv.agent.record import Candidate
from merv.agent.roles import RoleModel
from merv.agent.windows import guesses
from merv.chat import Turn
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.evaluation.metrics.spans import Window
from merv.models.reply import Reply
from merv.video.stretches import inside

ROLE_TOKENS = 256
"""Longest reply of a planner, grounder or gqa, as published; a plan that is cut off is no plan."""


@dataclass(frozen=True)
class Found:
    """What a role that looks for moments found."""

    text: str
    candidates: tuple[Candidate, ...]
    """Best first; at least one."""
    found: bool
    """Whether the role found them; otherwise they are guesses."""

    def plain(self) -> dict[str, Any]:
        """What a record says of it; the candidates stand there once, with the verifier's scores."""
        return {"text": self.text, "found": self.found}


@dataclass(frozen=True)
class Verified:
    """Candidates with a verifier's scores, in the order they came."""

    candidates: tuple[Candidate, ...]
    texts: tuple[str, ...]
    reasons: Mapping[int, str]
    """Number of a candidate -> why the verifier could not be shown it."""

    def plain(self) -> dict[str, Any]:
        """What a record says of it."""
        failed = {str(number): reason for number, reason in self.reasons.items()}
        return {"texts": list(self.texts), **({"failed": failed} if failed else {})}


@dataclass(frozen=True)
class Steps:
    """Asks the roles of a model, one question after the other."""

    model: RoleModel
    num_candidates: int
    generation: Mapping[str, Any] = field(default_factory=dict)
    """The answerer's options of transformers' generate."""

    def plan(self, case: Case) -> str:
        """The planner's words about a question.

        Raises:
            SampleError: the video cannot be shown; so for every step.
        """
        return self._ask("planner", case.asks(question=case.text), max_new_tokens=ROLE_TOKENS).text

    def ground(self, case: Case, query: str, *, several: bool) -> Found:
        """Where the grounder sees a query; where it sees none, guesses if `several` are wanted, else everything."""
        reply = self._ask("grounder", case.asks(query=query), max_new_tokens=ROLE_TOKENS)
        return self._found(case, reply, several)

    def ground_and_choose(self, case: Case) -> Found:
        """Moments and, in the text, the choice of the role that does both at once."""
        sample = case.asks(question=case.text, options=list(case.options))
        return self._found(case, self._ask("gqa", sample, max_new_tokens=ROLE_TOKENS), several=True)

    def verify(self, case: Case, query: str, candidates: Sequence[Candidate]) -> Verified:
        """What the verifier makes of each candidate; all are asked about in one call."""
        asked = [("verifier", case.asks(query=query, candidate=candidate.window)) for candidate in candidates]
        replies = list(self.model.ask(asked, **self.generation))
        assert len(replies) == len(asked), f"{len(replies)} replies to {len(asked)} questions"
        reasons = {number: str(reply) for number, reply in enumerate(replies) if isinstance(reply, SampleError)}
        if len(reasons) == len(candidates):
            raise SampleError(reasons[0])
        scores = [None if isinstance(reply, SampleError) else _score(reply.score) for reply in replies]
        scored = [replace(each, verifier=score) for each, score in zip(candidates, scores, strict=True)]
        texts = ["" if isinstance(reply, SampleError) else reply.text for reply in replies]
        return Verified(tuple(scored), tuple(texts), reasons)

    def answer(self, case: Case, window: Window, turns: Sequence[Turn]) -> str:
        """The answerer's words about a stretch of the video."""
        return self._ask("answerer", case.crop(window, turns)).text

    def _ask(self, role: str, sample: Sample, **options: Any) -> Reply:
        [reply] = self.model.ask([(role, sample)], **{**self.generation, **options})
        if isinstance(reply, SampleError):
            raise reply
        return reply

    def _found(self, case: Case, reply: Reply, several: bool) -> Found:
        spans = [span for span in reply.spans or () if all(map(math.isfinite, span))]
        candidates = [Candidate(*inside(span[:2], case.shown), grounder=span[2]) for span in spans]
        if candidates:
            return Found(reply.text, tuple(candidates[: self.num_candidates]), found=True)
        tried = guesses(case.shown)[: self.num_candidates] if several else [case.shown]
        return Found(reply.text, tuple(Candidate(*window, grounder=0.0) for window in tried), found=False)


def _score(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
