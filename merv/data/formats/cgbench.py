"""Rows of CG-Bench: questions on videos of up to an hour, each with the intervals that hold its clues.

Chen et al., "CG-Bench: Clue-grounded Question Answering Benchmark for Long Video Understanding", ICLR 2025
(arXiv 2412.12075); https://github.com/CG-Bench/CG-Bench.  A row is `{qid, video_uid, question, choices, right_answer,
clue_intervals: [[start, end], ...], duration, domain, sub_category}`, the answer a letter, the duration rounded.
"""

from collections.abc import Mapping
from typing import Any

from merv.data.formats.options import by_letter, options_of, published_answer
from merv.data.formats.question_fields import number_of, windows_of
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of


def question_of(row: Any, durations: Mapping[str, Any] | None = None) -> Question:
    """What a row says; it may have no clues.

    Args:
        row: The row.
        durations: Measured seconds by video, in place of the rounded ones of the rows.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: it has no answer.
    """
    video, options = text_of(row, "video_uid"), options_of(row, "choices")
    clues = value_of(row, "clue_intervals")
    duration = (durations or {}).get(video, value_of(row, "duration"))
    return Question(
        id=text_of(row, "qid"),
        text=text_of(row, "question"),
        video=video,
        options=options,
        answer=by_letter(published_answer(row, "right_answer"), options),
        windows=[] if clues == [] else windows_of(clues),
        duration=None if duration is None else number_of(duration, "duration"),
        kind=str(value_of(row, "sub_category") or ""),
    )
