"""Rows of QA-Ego4D: questions to somebody's own camera, with the moment that holds the answer.

Bärmann and Waibel, "Where did I leave my keys?", CVPR Workshops 2022; https://github.com/lbaermann/qaego4d.  Options
are those of GroundVQA (https://github.com/Becomebright/GroundVQA): a row is `{video_id, sample_id, question, answer: a
text, moment_start_frame, moment_end_frame, wrong_answers, and in some lists options}`.
"""

from collections.abc import Mapping
from typing import Any

from merv.data.formats.options import options_of, published_answer
from merv.data.formats.question_fields import among, by_words, number_of
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of

FRAMES_PER_SECOND = 30
"""Of the annotations, whatever the video's own rate."""


def question_of(row: Any, durations: Mapping[str, Any]) -> Question:
    """What a row says.

    Without `options` the right answer stands among the wrong ones at a place that follows from the sample's id, always
    the same; VideoMind draws it anew in every run.

    Args:
        row: The row.
        durations: Seconds by video; one without has none.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: it has no answer.
    """
    video, name = text_of(row, "video_id"), text_of(row, "sample_id")
    answer = str(published_answer(row, "answer"))
    given = options_of(row, "options") if value_of(row, "options") else []
    options = given or among(answer, options_of(row, "wrong_answers"), name)
    start, end = (number_of(value_of(row, f"moment_{end}_frame"), f"moment_{end}_frame") for end in ("start", "end"))
    duration = durations.get(video)
    return Question(
        id=name,
        text=text_of(row, "question").strip(),
        video=video,
        options=options,
        answer=by_words(answer, options),
        windows=[(start / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND)],
        duration=None if duration is None else number_of(duration, "duration"),
    )
