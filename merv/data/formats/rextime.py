"""Rows of ReXTime: questions across time, whose answer lies in another window than what the question names.

Chen et al., "ReXTime", NeurIPS 2024 (arXiv 2406.19392).  The rows of Hugging Face
(https://huggingface.co/datasets/ReXTime/ReXTime) have options: `{qid, question, options, ans, span, vid, category}`;
those of https://github.com/ReXTime/ReXTime have the window alone: `{qid, query, duration, vid, relevant_windows}`.
Videos are of ActivityNet and QVHighlights.
"""

from collections.abc import Mapping
from typing import Any

from merv.data.formats.options import by_letter, options_of, published_answer
from merv.data.formats.question_fields import number_of, windows_of
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Skip, text_of, value_of

ACTIVITYNET_ID = 13
"""Characters of `v_` and a YouTube id; a clip of QVHighlights has more."""


def question_of(row: Any, durations: Mapping[str, Any] | None = None) -> Question:
    """What a row of either form says; without options it has no answer but its window.

    Args:
        row: The row.
        durations: Measured seconds by video, in place of those of the rows.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: it has neither answer nor window, as in the test split.
    """
    video = text_of(row, "vid")
    duration = (durations or {}).get(video, value_of(row, "duration"))
    seconds = None if duration is None else number_of(duration, "duration")
    name, kind = text_of(row, "qid"), str(value_of(row, "category") or "")
    if "options" not in row:
        windows = value_of(row, "relevant_windows")
        if windows is None:
            raise Skip("without a window, as a test split's")
        return Question(name, text_of(row, "query"), video, windows=windows_of(windows), duration=seconds, kind=kind)
    options = options_of(row, "options")
    return Question(
        id=name,
        text=text_of(row, "question"),
        video=video,
        options=options,
        answer=by_letter(published_answer(row, "ans"), options),
        windows=windows_of(value_of(row, "span")),
        duration=seconds,
        kind=kind,
    )


def is_of_activitynet(video: str) -> bool:
    """Whether a video is one of ActivityNet's; others are clips of QVHighlights."""
    return len(video) == ACTIVITYNET_ID and video.startswith("v_")
