"""Rows of LongVideoBench: questions that refer to a moment of a video of eight seconds to one hour.

Wu et al., NeurIPS 2024; https://github.com/longvideobench/LongVideoBench.  In lvb_val.json a row has `candidates`, in
the parquet file columns option0 to option4 filled up with `N/A`; `correct_choice` counts from 0, and is -1 or missing
in the test split.
"""

from typing import Any

from merv.data.formats.options import by_number, options_of, published_answer, question_text
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of
from merv.errors import SampleError

NUM_COLUMNS = 5


def question_of(row: Any) -> Question:
    """What a row says; `more` holds the groups its score is told apart by, and where its subtitles are.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: no answer is published.
    """
    options = options_of(_with_candidates(row), "candidates")
    kind, duration = text_of(row, "question_category"), value_of(row, "duration")
    if duration is None:
        raise SampleError("field duration: found nothing; expected seconds")
    video = text_of(row, "video_path", "video_id")
    return Question(
        id=text_of(row, "id"),
        text=question_text(row),
        video=video,
        options=options,
        answer=by_number(published_answer(row, "correct_choice"), options),
        duration=duration,
        kind=kind,
        also=(video.rpartition("-")[2],) if video.startswith("@") else (),  # VideoMind keeps `@user-number` as number
        more={
            "groups": (kind, f"{text_of(row, 'duration_group')}s"),
            "subtitle_path": row.get("subtitle_path"),
            "begin": float(row.get("starting_timestamp_for_subtitles") or 0),
        },
    )


def _with_candidates(row: Any) -> Any:
    if value_of(row, "option0") is None:
        return row
    columns = (row.get(f"option{place}") for place in range(NUM_COLUMNS))
    return {"candidates": [option for option in columns if option not in (None, "N/A")]}
