"""Rows of MLVU: lists of questions about videos of three minutes to nine hours, a list a task.

Zhou et al., CVPR 2025; https://github.com/JUNJIE99/MLVU.  A row is `{video, duration, question, candidates, answer,
question_type}`, the answer a text, which now and then is none of the candidates.
"""

from typing import Any

from merv.data.formats.options import by_text, options_of, question_text
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Skip, text_of, value_of

LISTS = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning")
"""Names of the lists and of the folders of their videos."""
FREE_LISTS = ("8_sub_scene", "9_summary")
"""Lists that ask for free text."""


def question_of(row: Any, part: str, number: int) -> Question:
    """What a row of a list says.

    Args:
        row: The row.
        part: The list's name.
        number: Place in the list from 0; the rows have no ids.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: the row has no options to choose from.
    """
    text = question_text(row)
    if value_of(row, "candidates") is None:
        raise Skip("without options")
    options = options_of(row, "candidates")
    return Question(
        id=f"{part}_{number}",
        text=text,
        video=f"{part}/{text_of(row, 'video')}",
        options=options,
        answer=by_text(value_of(row, "answer"), options),
        duration=row.get("duration"),
        kind=text_of(row, "question_type"),
    )
