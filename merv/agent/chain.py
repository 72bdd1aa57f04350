"""Planner, grounder, verifier and answerer, one after the other, on one question about a video.

VideoMind (https://arxiv.org/abs/2503.13444; https://github.com/yeliudev/VideoMind, videomind/eval/infer_auto.py).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from merv.agent.case import Case, asks_only_when, read_case, unfit
from merv.agent.paths import ANSWERING, answer_by_paths
from merv.agent.plan import ORDER, Plan, read_plan
from merv.agent.preparing import Preparing, duration_of
from merv.agent.record import Candidate, ChainReply, Moment
from merv.agent.roles import MUPA, RoleModel, read_roles
from merv.agent.steps import Steps
from merv.agent.windows import MIN_SECONDS
from merv.chat import Turn
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.evaluation.tasks.protocols import SHARED
from merv.models.qwen2_vl.targets import clean_query
from merv.video.media import MediaRef
from merv.video.stretches import widened


@dataclass
class ChainConfig:
    """Options of an agent; the roles themselves are those `--agent` names."""

    paths: list[int] = field(default_factory=list)
    """MUPA's paths to answer by: 1 ground, answer, verify; 2 find and choose in one reply, verify; 3 answer, ground,
    verify; 4 ground, verify, for questions of when alone, which always take it.  Empty means the chain, or 1, 2 and 3
    with `--agent mupa`."""
    candidates: int = 5
    """Moments of a grounder that are verified, the best ones."""
    answer_min_seconds: float | None = None
    """Shortest stretch the answerer is shown, in seconds; None means the published one of the task, mostly 32."""
    options_prompt: Literal["role", "merv", "reference", "videomind"] = "role"
    """How options are put to the answerer where the task's own prompt asks for the moment as well: in the words the
    role was trained with, or in those of a protocol of multiple-choice tasks."""

    def __post_init__(self) -> None:
        """Refuse paths there are not, and sizes that make no sense."""
        strange = [path for path in self.paths if path not in (*ANSWERING, 4)]
        if strange or len(set(self.paths)) < len(self.paths):
            raise ConfigError(f"chain.paths is {self.paths}; name each of 1, 2, 3, 4 at most once")
        if self.candidates < 1:
            raise ConfigError(f"chain.candidates is {self.candidates}; it must be at least 1")
        if self.answer_min_seconds is not None and not self.answer_min_seconds >= 0:
            raise ConfigError(f"chain.answer_min_seconds is {self.answer_min_seconds:g}; it must be at least 0")


def chosen_paths(words: Sequence[str], roles: Sequence[str], config: ChainConfig) -> tuple[int, ...]:
    """The paths that `--agent` and `--chain.paths` mean, ascending; none for the chain.

    Raises:
        ConfigError: a path needs a role that is not asked for.
    """
    paths = config.paths or (list(ANSWERING) if MUPA in words else [])
    for path in sorted(paths):
        needs = ["gqa" if path == 2 else "grounder", "verifier"]
        if missing := [role for role in needs if role not in roles]:
            raise ConfigError(f"path {path} needs {' and '.join(missing)}; add it to --agent, or write --agent {MUPA}")
    return tuple(sorted(paths))


class Chain:
    """Answers one sample after the other."""

    def __init__(
        self,
        model: RoleModel,
        words: Sequence[str] = ORDER,
        config: ChainConfig | None = None,
        *,
        min_seconds: float = MIN_SECONDS,
        **generation: Any,
    ) -> None:
        """Ask `model`.

        Args:
            model: What plays the roles.
            words: The roles to ask, or `mupa`.
            config: Options; None means the published ones.
            min_seconds: Shortest stretch the answerer is shown, where `config` says none.
            generation: The answerer's options of transformers' generate.

        Raises:
            ConfigError: roles or paths do not fit together.
        """
        self.config = config or ChainConfig()
        self.roles = read_roles(words)
        self.paths = chosen_paths(words, self.roles, self.config)
        given = self.config.answer_min_seconds
        self.min_seconds = min_seconds if given is None else given
        self.measure: Callable[[MediaRef], float] = duration_of
        options = {"do_sample": False, "num_beams": 1, **generation}
        self.steps = Steps(model, self.config.candidates, generation=options)

    def prepared_by(self, preparing: Preparing) -> "Chain":
        """The same, with videos measured and decoded in other processes."""
        other = copy.copy(self)
        other.measure = preparing.duration
        other.steps = replace(self.steps, model=preparing.given_to(self.steps.model))
        return other

    def about(self) -> dict[str, Any]:
        """What decides the answers, for cards."""
        return {
            "roles": list(self.roles),
            "paths": list(self.paths),
            "candidates": self.config.candidates,
            "answer_min_seconds": self.min_seconds,
            "options_prompt": self.config.options_prompt,
        }

    def answer(self, sample: Sample) -> ChainReply:
        """Text, moments best first, and the record of how they came about.

        A sample that only asks when something happens is grounded and verified, without planner and answerer.  A
        plan without a grounder shows the answerer the whole video, which is then the moment, too.

        Raises:
            SampleError: the sample asks nothing an agent can answer, or its video cannot be shown.
        """
        if reason := self.refuses(sample):
            raise SampleError(reason)
        case = read_case(sample, self.measure)
        record: dict[str, Any] = {"question": case.text, "options": list(case.options), "duration": case.duration}
        record["shown"] = list(case.shown)
        if self.paths and case.may_answer:
            return answer_by_paths(self.steps, case, self.paths, self._turns(case), self.min_seconds, record)
        plan = self._plan(case, record)
        candidates = self._moments(case, plan, record)
        best = candidates[0].window
        record["chosen"] = list(best)
        text = f"{best[0]:.1f} - {best[1]:.1f} seconds"
        if "answerer" in plan.roles or case.needs_answer:
            window = widened(best, case.shown, self.min_seconds)
            turns = self._turns(case)
            text = self.steps.answer(case, window, turns)
            record["answerer"] = {"prompt": turns[-1].text, "shown": list(window), "text": text}
        return ChainReply(text, tuple(_moment(each) for each in candidates), record=record)

    def refuses(self, sample: Sample) -> str | None:
        """Why this agent cannot answer a sample; None when it can."""
        if reason := unfit(sample):
            return reason
        if asks_only_when(sample):
            alone = "grounder" not in self.roles
            return f"sample `{sample.id}` asks when something happens; add grounder to --agent" if alone else None
        if self.paths == (4,):
            return f"sample `{sample.id}` asks a question and path 4 answers none; add 1, 2 or 3 to chain.paths"
        if 2 in self.paths and not sample.meta.get("options"):
            return f"sample `{sample.id}` has no options and path 2 chooses one; leave it out of chain.paths"
        return None

    def check(self, samples: Sequence[Sample], task: str) -> None:
        """Refuse a task of which no sample can be answered.

        Raises:
            ConfigError: the reason for the first.
        """
        reasons = [self.refuses(sample) for sample in samples]
        if samples and all(reasons):
            raise ConfigError(f"agent: none of the {len(samples)} samples of task `{task}` will do: {reasons[0]}")

    def _plan(self, case: Case, record: dict[str, Any]) -> Plan:
        """The planner's plan as far as its roles are there; without a planner, all roles that are."""
        plan = Plan(tuple(role for role in ORDER if role != "answerer" or case.may_answer))
        if "planner" in self.roles and case.may_answer:
            text = self.steps.plan(case)
            plan = read_plan(text, case.text)
            record["planner"] = {"text": text, "plan": plan.plain(), "fallback": plan.fallback}
        there = (*self.roles, "answerer")
        return Plan(tuple(role for role in plan.roles if role in there), plan.query)

    def _moments(self, case: Case, plan: Plan, record: dict[str, Any]) -> list[Candidate]:
        """Candidates best first: by the verifier, equals and those it could not see by the grounder."""
        if "grounder" not in plan.roles:
            return [Candidate(*case.shown, grounder=0.0)]
        query = plan.query or clean_query(case.text)
        verifies = "verifier" in plan.roles
        found = self.steps.ground(case, query, several=verifies)
        candidates = found.candidates
        record["grounder"] = {"query": query, **found.plain()}
        if verifies:
            asked = clean_query(case.text)  # as published: the question itself, however a planner put it
            verified = self.steps.verify(case, asked, candidates)
            candidates = verified.candidates
            record["verifier"] = {"query": asked, **verified.plain()}
        record["candidates"] = [each.plain() for each in candidates]
        return sorted(candidates, key=lambda each: -1.0 if each.verifier is None else each.verifier, reverse=True)

    def _turns(self, case: Case) -> Sequence[Turn]:
        """What the answerer is asked: the task's own words, unless these ask for the moment as well."""
        if case.options and "windows" in case.sample.meta:
            if self.config.options_prompt == "role":
                return case.plain
            way = SHARED[self.config.options_prompt]
            return (Turn("user", way.ask(case.text, case.options, "")),)
        return case.sample.turns


def _moment(candidate: Candidate) -> Moment:
    return (*candidate.window, candidate.grounder if candidate.verifier is None else candidate.verifier)
