"""Rows of NExT-GQA: NExT-QA's questions of cause and time, and the windows that show the answer.

Xiao et al., "Can I Trust Your Answer?", CVPR 2024 (arXiv 2309.01327); https://github.com/doc-doc/NExT-GQA.  There is
a CSV whose `answer` is a text and whose questions lack their mark, and beside it two objects: windows in seconds,
`{video: {duration, location: {qid: [[start, end], ...]}}}`, and `{video: path without suffix}`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merv.data.formats.csv_rows import csv_rows
from merv.data.formats.json_rows import described
from merv.data.formats.question_fields import by_words, number_of, windows_of, with_mark
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of
from merv.errors import SampleError

NUM_OPTIONS = 5
COLUMNS = ("video_id", "question", "answer", "qid", "type", *(f"a{index}" for index in range(NUM_OPTIONS)))


def question_of(row: Any, truths: Mapping[str, Any], places: Mapping[str, Any]) -> Question:
    """What a row of the CSV says.

    Args:
        row: The row.
        truths: Duration and windows by video.
        places: Path by video; one without stands under its own number.

    Raises:
        SampleError: a field is missing or holds something else, or the question has no windows.
    """
    video, number = text_of(row, "video_id"), text_of(row, "qid")
    truth = truths.get(video)
    located = truth.get("location") if isinstance(truth, dict) else None
    if not isinstance(located, dict) or number not in located:
        raise SampleError(f"the windows have none for question {number} of video {video}")
    place = places.get(video, video)
    if not isinstance(place, str):
        raise SampleError(f"path of video {video}: found {described(place)}; expected text")
    options = [text_of(row, f"a{index}") for index in range(NUM_OPTIONS)]
    return Question(
        id=f"{video}_{number}",
        text=with_mark(text_of(row, "question").strip()),
        video=place,
        options=options,
        answer=by_words(text_of(row, "answer"), options),
        windows=windows_of(located[number]),
        duration=number_of(value_of(truth, "duration"), "duration"),
        kind=str(value_of(row, "type") or ""),
        also=(video,),
    )


def read_list(path: Path) -> list[dict[str, Any]]:
    """The rows of the CSV.

    Raises:
        ConfigError: it is missing, no CSV, or lacks a column.
    """
    return csv_rows(path, COLUMNS)
