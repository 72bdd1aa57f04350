"""Perception Test's multiple-choice questions: three options, often about a video up to a frame only.

Patraucean et al., NeurIPS 2023; https://github.com/google-deepmind/perception_test.  The file is an object of videos,
`{video: {metadata: {frame_rate, num_frames}, mc_question: [{id, question, options, answer_id, [end_frame]}]}}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from merv.data.formats.merv_form import up_to_frame
from merv.data.formats.options import by_number, options_of, published_answer, question_text
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of


def asked(videos: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of the file, each with its `qid`, the `video` and its `metadata`; a video may have none."""
    for name, about in videos.items():
        about = about if isinstance(about, dict) else {}
        found = about.get("mc_question")
        for row in found if isinstance(found, list) else []:
            row = row if isinstance(row, dict) else {}
            yield {**row, "qid": f"{name}_{row.get('id')}", "video": name, "metadata": about.get("metadata")}


def question_of(row: Any, fps: float | None = None) -> Question:
    """What one of these rows says; `more` holds its groups and the frame up to which the video is meant.

    Args:
        row: The row.
        fps: Frames a second of videos whose metadata do not say; None shows all of those.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: no answer is published.
    """
    about = row.get("metadata") or {}
    options, kind, end = options_of(row, "options"), str(row.get("area", "")), row.get("end_frame")
    rate, total = about.get("frame_rate") or fps, about.get("num_frames")
    return Question(
        id=f"{text_of(row, 'video')}_{text_of(row, 'id')}",
        text=question_text(row),
        video=text_of(row, "video"),
        options=options,
        answer=by_number(published_answer(row, "answer_id"), options),
        span=up_to_frame(end, rate),
        duration=total / rate if total and rate else None,
        kind=kind,
        more={"groups": [group for group in (kind, str(row.get("reasoning", ""))) if group], "end_frame": end},
    )
