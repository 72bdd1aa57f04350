"""Rows of LVBench: four options about videos of half an hour to two hours, and when in them the answer shows.

Wang et al., 2024; https://github.com/THUDM/LVBench.  The official file has a row a video, `{key, video_info, qa}`, and
the options in the questions, one a line.  VideoChat-Flash's list (lvbench_clean.json) has a row a question with
`candidates` and the answer as `(A) ...`, and no durations.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from merv.data.formats.json_rows import described
from merv.data.formats.options import by_letter, options_of, published_answer, question_text, without_letters
from merv.data.formats.questions import Question, Window
from merv.data.formats.role_rows import Skip, text_of, value_of
from merv.errors import SampleError

_OPTION = re.compile(r"\n\s*\([A-H]\)\s*")
_LETTER = re.compile(r"\s*\(([A-H])\)")
_TIME = r"\s*((?:\d+:)?\d+:\d+)\s*"
_REFERENCE = re.compile(f"{_TIME}-{_TIME}")


def asked(rows: Iterable[Any]) -> Iterator[Any]:
    """Rows that ask one question each, in one form; what is none is handed on as it is.

    A question of the official file gets the `video` and, in seconds, the `duration` of the row it stood in, and its
    options as `candidates`.
    """
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("qa"), list):
            yield row
            continue
        about = row.get("video_info")
        minutes = about.get("duration_minutes") if isinstance(about, dict) else None
        duration = 60.0 * minutes if isinstance(minutes, int | float) else None
        for one in row["qa"]:
            yield {**_apart(one), "video": row.get("key"), "duration": duration} if isinstance(one, dict) else one


def _apart(one: dict[str, Any]) -> dict[str, Any]:
    text, *options = _OPTION.split(str(one.get("question", "")))
    return {**one, "question": text, "candidates": [option.strip() for option in options]}


def question_of(row: Any, number: int, *, windows: bool = False) -> Question:
    """What a row with one question says; `more` holds its types as `groups`, and the time as it stands in the file.

    Args:
        row: The row.
        number: Its id where it has none.
        windows: Read when the answer shows, which a row may then not lack.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: no answer is published, or the time has no length.
    """
    options = without_letters(options_of(row, "candidates"))
    answer = published_answer(row, "answer")
    letter = _LETTER.match(answer) if isinstance(answer, str) else None
    kinds = row.get("question_type")
    kinds = kinds if isinstance(kinds, list) else [text_of(row, "question_type")]
    return Question(
        id=str(row.get("uid", number)),
        text=question_text(row),
        video=text_of(row, "video"),
        options=options,
        answer=by_letter(letter[1] if letter else answer, options),
        windows=[window_of(value_of(row, "time_reference"))] if windows else (),
        duration=row.get("duration"),
        kind=", ".join(map(str, kinds)),
        more={"groups": kinds, "time_reference": row.get("time_reference")},
    )


def window_of(reference: Any) -> Window:
    """Seconds of `mm:ss-mm:ss`, with hours before them or not.

    Raises:
        SampleError: it is none.
        Skip: it ends where it begins, as one in fourteen does.
    """
    times = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    if times is None:
        raise SampleError(f"field time_reference: found {described(reference)}; expected mm:ss-mm:ss")
    start, end = (_seconds(time) for time in times.groups())
    if start == end:
        raise Skip("whose time has no length")
    return start, end


def _seconds(time: str) -> float:
    seconds = 0
    for part in time.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)
