"""The roles one Qwen2-VL can play, and what each is asked about a sample.

VideoMind (https://arxiv.org/abs/2503.13444) has planner, grounder, verifier and answerer; MUPA adds `gqa`, which finds
the moment and chooses an option in one reply (https://github.com/soughtlin/MUPA).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from merv.data.sample import Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.prompts import Wording, choice_prompt, found_answer, joint_answer, prompt_of
from merv.models.qwen2_vl.targets import clean_query
from merv.models.qwen2_vl.tokens import RESERVED
from merv.registry import did_you_mean
from merv.video.budget import VisualBudget

RoleName = Literal["planner", "grounder", "verifier", "answerer", "gqa"]
Window = tuple[float, float]
NOTHING = "the sample asks nothing: no query, question or user's turn"
PIXELS = 28 * 28
"""Pixels behind one visual token."""


@dataclass(frozen=True)
class Request:
    """What a role is asked about one sample."""

    turns: tuple[Turn, ...]
    """The conversation; its last turn is the answer where a training row has one."""
    windows: tuple[Window, ...] = ()
    """Seconds the grounding head is to find; empty when it has nothing to learn."""
    candidate: Window | None = None
    """Seconds the verifier judges: it is shown these and their surroundings."""


@dataclass(frozen=True)
class Role:
    """One role."""

    request: Callable[[Sample, Wording], Request]
    budget: VisualBudget
    """What it is shown of a video, as published."""
    has_head: bool = False
    """Whether it calls a grounding head."""
    keeps_words: bool = False
    """Whether embeddings and head of the LLM learn with its adapters: it meets tokens the base does not know."""


def letters(options: Sequence[str]) -> str:
    """`(A) ring` and so on, a line each."""
    return "\n".join(f"({chr(ord('A') + number)}) {option}" for number, option in enumerate(options))


def query_of(sample: Sample, *keys: str) -> str:
    """What a sample asks for: the first of the keys its `meta` has, else the user's last words.

    Raises:
        SampleError: nothing is asked, or the words hold a token with a meaning of its own.
    """
    said = [turn.text for turn in sample.turns if turn.role == "user"]
    query = next((str(sample.meta[key]) for key in keys if sample.meta.get(key)), said[-1] if said else "")
    text = clean_query(query)
    if not text:
        raise SampleError(NOTHING)
    return _plain(text)


def _plain(text: str) -> str:
    strange = next((token for token in RESERVED if token in text), None)
    if strange is not None:
        raise SampleError(f"the text holds {strange}, which has a meaning of its own; take it out")
    return text


def _talk(prompt: str, answer: str | None) -> tuple[Turn, ...]:
    return (Turn("user", prompt),) if answer is None else (Turn("user", prompt), Turn("assistant", answer))


def _windows(sample: Sample) -> tuple[Window, ...]:
    return tuple((float(start), float(end)) for start, end in sample.meta.get("windows") or ())


def _ground(sample: Sample, wording: Wording) -> Request:
    query, windows = query_of(sample, "query", "question"), _windows(sample)
    answer = found_answer(wording, query) if windows else None
    return Request(_talk(prompt_of("grounder", wording, query), answer), windows)


def _verify(sample: Sample, wording: Wording) -> Request:
    candidate = sample.meta.get("candidate")
    if candidate is None:
        raise SampleError("the sample has no candidate: a verifier judges a stretch of seconds, meta `candidate`")
    right = sample.meta.get("positive")
    answer = None if right is None else "Yes." if right else "No."
    prompt = prompt_of("verifier", wording, query_of(sample, "query", "question"))
    return Request(_talk(prompt, answer), candidate=(float(candidate[0]), float(candidate[1])))


def _plan(sample: Sample, wording: Wording) -> Request:
    plan = sample.meta.get("plan")
    prompt = prompt_of("planner", wording, query_of(sample, "question", "query"))
    return Request(_talk(prompt, None if plan is None else _plain(json.dumps(plan, ensure_ascii=False))))


def _answer(sample: Sample, wording: Wording) -> Request:
    if not any(turn.role == "user" for turn in sample.turns):
        raise SampleError(NOTHING)
    turns = tuple(Turn(turn.role, _plain(turn.text)) for turn in sample.turns)
    options = [str(option) for option in sample.meta.get("options") or ()]
    if sample.meta.get("task") not in ("choice", "grounded-choice") or not options:
        return Request(turns)  # somebody's own words
    asked = _plain(choice_prompt(wording, query_of(sample, "question"), options))
    answer = sample.meta.get("answer")
    return Request(_talk(asked, None if answer is None else options[answer]))


def _ground_and_answer(sample: Sample, wording: Wording) -> Request:
    options: list[Any] = list(sample.meta.get("options") or ())
    if not options:
        raise SampleError("the sample has no options: this role chooses one, meta `options`")
    question, windows = query_of(sample, "question", "query"), _windows(sample)
    prompt = prompt_of("gqa", wording, question, _plain(letters(options)))
    answer = sample.meta.get("answer")
    if answer is None or not windows:
        return Request(_talk(prompt, None))
    if not isinstance(answer, int) or not 0 <= answer < len(options):
        raise SampleError(f"the right option is {answer!r} of {len(options)}; expected its number, from 0")
    return Request(_talk(prompt, joint_answer(chr(ord("A") + answer), str(options[answer]))), windows)


_LOOK = {"min_pixels": 36 * PIXELS, "max_pixels": 64 * PIXELS}

ROLES: dict[str, Role] = {
    "planner": Role(_plan, VisualBudget(fps=1.0, max_frames=100, **_LOOK)),
    "grounder": Role(_ground, VisualBudget(fps=1.0, max_frames=150, **_LOOK), has_head=True, keeps_words=True),
    "verifier": Role(_verify, VisualBudget(fps=2.0, max_frames=64, **_LOOK), keeps_words=True),
    "answerer": Role(_answer, VisualBudget(fps=2.0, max_frames=32, min_pixels=128 * PIXELS, max_pixels=256 * PIXELS)),
    "gqa": Role(_ground_and_answer, VisualBudget(fps=1.0, max_frames=150, **_LOOK), has_head=True, keeps_words=True),
}
"""The roles by name, with the visual budgets of VideoMind and MUPA."""


def role_called(name: str) -> Role:
    """The role called `name`.

    Raises:
        ConfigError: there is none; the message lists near names.
    """
    if name not in ROLES:
        raise ConfigError(f"unknown role `{name}`; {did_you_mean(name, ROLES).replace('registered', 'roles')}")
    return ROLES[name]
