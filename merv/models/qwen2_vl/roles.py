"""The roles one Qwen2-VL can play, and what each is asked about a sample.

VideoMind (https://arxiv.org/abs/2503.13444) has planner, grounder, verifier and answerer; MUPA adds `gqa`, which finds
the moment and chooses an option in one reply (https://github.com/soughtlin/MUPA).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from merv.data.role_samples import pair_of_seconds
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.prompts import SEEN, Wording, choice_prompt, found_answer, joint_answer, letters, prompt_of
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


def query_of(sample: Sample, *keys: str) -> str:
    """What a sample asks for: the first of the keys its `meta` has, else the user's last words.

    Raises:
        SampleError: nothing is asked, or the words hold what no model may be told.
    """
    said = [turn.text for turn in sample.turns if turn.role == "user"]
    query = next((str(sample.meta[key]) for key in keys if sample.meta.get(key)), said[-1] if said else "")
    text = clean_query(query)
    if not text:
        raise SampleError(NOTHING)
    return plain_text(text)


def plain_text(text: str) -> str:
    """The text, if a model may be told it.

    Raises:
        SampleError: it holds half a character, or a token with a meaning of its own.
    """
    half = next((character for character in text if "\ud800" <= character <= "\udfff"), None)
    if half is not None:
        raise SampleError(f"the text holds {half!a}, half a character, which no file can hold; take it out")
    strange = next((token for token in RESERVED if token in text), None)
    if strange is not None:
        raise SampleError(f"the text holds {strange}, which has a meaning of its own; take it out")
    return text


def _talk(prompt: str, answer: str | None) -> tuple[Turn, ...]:
    return (Turn("user", prompt),) if answer is None else (Turn("user", prompt), Turn("assistant", answer))


def _windows(sample: Sample) -> tuple[Window, ...]:
    """Seconds in which it happens, as the row says; whether something can be learned from them is seen later.

    Raises:
        SampleError: they are no pairs of seconds.
    """
    said = sample.meta.get("windows")
    if said is not None and not isinstance(said, list | tuple):
        raise SampleError(f"windows: found {said!r}; expected a list of pairs, start and end in seconds")
    return tuple(pair_of_seconds(window, "window") for window in said or ())


def _chosen(sample: Sample, options: Sequence[Any]) -> int | None:
    """Number of the right option; None where the row does not say.

    Raises:
        SampleError: there is no such option.
    """
    answer = sample.meta.get("answer")
    if answer is None:
        return None
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(options):
        raise SampleError(f"the right option is {answer!r} of {len(options)}; expected its number, from 0")
    return answer


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
    query = query_of(sample, "query", "question")
    if answer is not None and wording == "short":
        answer = f"{sample.meta.get('shows', SEEN)} {answer}"
    seconds = pair_of_seconds(candidate, "candidate")
    return Request(_talk(prompt_of("verifier", wording, query), answer), candidate=seconds)


def _plan(sample: Sample, wording: Wording) -> Request:
    plan = sample.meta.get("plan")
    prompt = prompt_of("planner", wording, query_of(sample, "question", "query"))
    return Request(_talk(prompt, None if plan is None else plain_text(json.dumps(plan, ensure_ascii=False))))


def _answer(sample: Sample, wording: Wording) -> Request:
    if not any(turn.role == "user" for turn in sample.turns):
        raise SampleError(NOTHING)
    turns = tuple(Turn(turn.role, plain_text(turn.text)) for turn in sample.turns)
    options = [str(option) for option in sample.meta.get("options") or ()]
    if sample.meta.get("task") not in ("choice", "grounded-choice") or not options:
        return Request(turns)  # somebody's own words
    asked = plain_text(choice_prompt(wording, query_of(sample, "question"), options))
    answer = _chosen(sample, options)
    return Request(_talk(asked, None if answer is None else options[answer]))


def _ground_and_answer(sample: Sample, wording: Wording) -> Request:
    options: list[Any] = list(sample.meta.get("options") or ())
    if not options:
        raise SampleError("the sample has no options: this role chooses one, meta `options`")
    question, windows = query_of(sample, "question", "query"), _windows(sample)
    prompt = prompt_of("gqa", wording, question, plain_text(letters(options)))
    answer = _chosen(sample, options)
    if answer is None or not windows:
        return Request(_talk(prompt, None))
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
