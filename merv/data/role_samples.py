"""Rows for models with roles (grounder, verifier, planner, answerer): whatever file they come from, one shape a task.

The turns are plain text, so that any family of models can learn from them; role models read `Sample.meta` instead,
where `task` says which of the five shapes a row has.  The roles are those of VideoMind
(https://github.com/yeliudev/VideoMind) and MUPA (https://github.com/soughtlin/MUPA).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from merv.chat import Turn
from merv.data.formats.question_fields import with_mark
from merv.data.formats.synthetic import with_options
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.video.media import MediaRef

Window = tuple[float, float]
"""Start and end in seconds of the video."""

MAX_OPTIONS = 26
"""Options have letters."""


def moment_row(
    id: str,
    query: str,
    windows: Sequence[Sequence[float]],
    duration: float | None,
    media: MediaRef | Sequence[MediaRef],
) -> Sample:
    """When does something happen.

    Args:
        id: Name of the row.
        query: What to look for.
        windows: Seconds, at least one; see `usable_windows` for what is refused and what is cut.
        duration: Seconds of the video; None, for data without them, is refused.
        media: The video.

    Raises:
        SampleError: there is no duration, no query, or a window that cannot be used.
    """
    query, seconds = tidy_query(query), known_duration(duration)
    found = usable_windows(windows, seconds)
    meta = {"task": "moment", "query": query, "windows": found, "duration": seconds, **_cut(windows, found)}
    return _sample(id, f"When does this happen in the video: {with_mark(query)}", _spoken(found), media, meta)


def candidate_row(
    id: str,
    query: str,
    candidate: Sequence[float],
    positive: bool,
    duration: float | None,
    media: MediaRef | Sequence[MediaRef],
) -> Sample:
    """Whether a proposed stretch of the video is the moment of a query.

    The candidate is what a grounder said: it is cut to the video and may have no length, but not run backwards.

    Raises:
        SampleError: there is no duration, no query, or the candidate is no pair of seconds in order.
    """
    query, seconds = tidy_query(query), known_duration(duration)
    start, end = pair_of_seconds(candidate, "candidate")
    if start > end:
        raise SampleError(f"candidate {start:g} - {end:g} s runs backwards")
    start, end = (min(max(time, 0.0), seconds) for time in (start, end))
    meta = {
        "task": "candidate",
        "query": query,
        "candidate": (start, end),
        "positive": positive,
        "duration": seconds,
    }
    question = f"Does the video from {start:.1f} to {end:.1f} seconds show exactly this: {query}? Answer Yes or No."
    return _sample(id, question, "Yes." if positive else "No.", media, meta)


def plan_row(
    id: str,
    question: str,
    plan: Sequence[Mapping[str, str]],
    media: MediaRef | Sequence[MediaRef],
    duration: float | None = None,
) -> Sample:
    """Which roles answer a question, in order: `[{"type": "grounder", "value": query}, {"type": "verifier"}]`.

    Args:
        id: Name of the row.
        question: What a user asks.
        plan: One mapping a step: the role as `type`, and as `value` what it is asked, where that is told.
        media: The video.
        duration: Seconds of the video; None where the data do not say.

    Raises:
        SampleError: the question is empty, or a step names no role.
    """
    question, steps = tidy_question(question), [dict(step) for step in plan]
    if not steps or not all(isinstance(step.get("type"), str) for step in steps):
        raise SampleError(f"plan {json.dumps(steps)}: expected at least one step, each with the role as type")
    meta = {"task": "plan", "question": question, "plan": steps}
    asked = f"Plan how to answer this about the video, as a JSON list of steps: {question}"
    return _sample(id, asked, json.dumps(steps, ensure_ascii=False), media, meta | _known(duration=duration))


def choice_row(
    id: str,
    question: str,
    options: Sequence[str],
    answer: int,
    media: MediaRef | Sequence[MediaRef],
    duration: float | None = None,
    windows: Sequence[Sequence[float]] = (),
) -> Sample:
    """A question with options.

    Args:
        id: Name of the row.
        question: Without the options.
        options: 2 to 26 texts.
        answer: Place of the right one, from 0.
        media: The video.
        duration: Seconds of the video; None where the data do not say.
        windows: Seconds in which the answer shows, where that is known.

    Raises:
        SampleError: the question is empty, the options or the answer's place are wrong, or a window cannot be used.
    """
    meta = _choice("choice", question, options, answer) | _known(duration=duration)
    if windows:
        meta["windows"] = usable_windows(windows, math.inf if duration is None else known_duration(duration))
        meta |= _cut(windows, meta["windows"])
    asked, texts = with_options(meta["question"], meta["options"]), meta["options"]
    return _sample(id, asked, texts[answer], media, meta)


def grounded_choice_row(
    id: str,
    question: str,
    options: Sequence[str],
    answer: int,
    windows: Sequence[Sequence[float]],
    duration: float | None,
    media: MediaRef | Sequence[MediaRef],
) -> Sample:
    """A question with options, of which both the answer and its moment are asked; arguments as in `choice_row`.

    Raises:
        SampleError: what `choice_row` refuses, no duration, or a window that cannot be used.
    """
    meta = _choice("grounded-choice", question, options, answer)
    seconds = known_duration(duration)
    found = usable_windows(windows, seconds)
    meta |= {"windows": found, "duration": seconds, **_cut(windows, found)}
    asked = f"Give the moment in seconds, then the answer. {with_options(meta['question'], meta['options'])}"
    return _sample(id, asked, f"{_spoken(found)}: {meta['options'][answer]}", media, meta)


def usable_windows(windows: Sequence[Sequence[float]], duration: float) -> list[Window]:
    """Windows in seconds, cut to the video of `duration` seconds.

    What reaches over an end of the video is cut there: annotations are rounded.  A window that has no length, runs
    backwards or lies wholly outside says nothing true, and its whole row is refused.

    Raises:
        SampleError: there is no window, or one of them is refused.
    """
    if not isinstance(windows, Sequence) or not windows:
        raise SampleError("no window says when it happens")
    found = []
    for start, end in (pair_of_seconds(window, "window") for window in windows):
        if start >= end:
            raise SampleError(f"window {start:g} - {end:g} s {'has no length' if start == end else 'runs backwards'}")
        if end <= 0 or start >= duration:
            raise SampleError(f"window {start:g} - {end:g} s lies outside the video of {duration:g} s")
        found.append((max(start, 0.0), min(end, duration)))
    return found


def _cut(given: Sequence[Sequence[float]], found: Sequence[Window]) -> dict[str, int]:
    """How many windows were cut, as `cut_windows`; nothing where none was."""
    num_cut = sum(tuple(before) != after for before, after in zip(given, found, strict=True))
    return {"cut_windows": num_cut} if num_cut else {}


def known_duration(duration: float | None) -> float:
    """Seconds of a video that has to have them.

    Raises:
        SampleError: there are none, or they are no number above 0.
    """
    if duration is None:
        raise SampleError("no duration of the video")
    if not _is_number(duration) or duration <= 0:
        raise SampleError(f"duration of the video: found {duration!r}; expected seconds above 0")
    return float(duration)


def tidy_query(text: str) -> str:
    """A query in one line without the full stop; VideoMind trains and asks so.

    Raises:
        SampleError: nothing is left.
    """
    return _not_empty(" ".join(text.split()).strip(".").strip(), "query", text)


def tidy_question(text: str) -> str:
    """A question in one line.

    Raises:
        SampleError: nothing is left.
    """
    return _not_empty(" ".join(text.split()), "question", text)


def _choice(task: str, question: str, options: Sequence[str], answer: int) -> dict[str, Any]:
    question, texts = tidy_question(question), [re.sub(r"\s+", " ", str(option)).strip() for option in options]
    if not 2 <= len(texts) <= MAX_OPTIONS:
        raise SampleError(f"{len(texts)} options; expected 2 to {MAX_OPTIONS}")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(texts):
        raise SampleError(f"answer {answer!r} is no place among {len(texts)} options, counted from 0")
    return {"task": task, "question": question, "options": texts, "answer": answer}


def _sample(
    id: str, question: str, answer: str, media: MediaRef | Sequence[MediaRef], meta: Mapping[str, Any]
) -> Sample:
    shown = (media,) if isinstance(media, MediaRef) else tuple(media)
    return Sample(id=str(id), turns=(Turn("user", question), Turn("assistant", answer)), media=shown, meta=meta)


def _known(*, duration: float | None) -> dict[str, float]:
    return {} if duration is None else {"duration": known_duration(duration)}


def _spoken(windows: Sequence[Window]) -> str:
    """`12.0 - 20.0 seconds`, or several after one another."""
    return ", ".join(f"{start:.1f} - {end:.1f}" for start, end in windows) + " seconds"


def pair_of_seconds(value: Any, name: str) -> Window:
    """Start and end, in whatever order; `name` is what messages call them.

    Raises:
        SampleError: it is no list of two finite numbers.
    """
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
        raise SampleError(f"{name}: found {value!r}; expected start and end in seconds")
    return float(value[0]), float(value[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _not_empty(tidy: str, name: str, text: str) -> str:
    if not tidy:
        raise SampleError(f"{name}: found {text!r}; expected words")
    return tidy
