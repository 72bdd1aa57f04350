"""Multiple-choice questions in the form of MERV's evaluation data: a list of questions, and one of answers.

https://github.com/princetonvisualai/merv, EVALUATION.md and eval_data/dummy_mcq.  A question is `{video_name,
question_id, question, options, [time], [end_frame]}`, an answer `{question_id, answer_id}`.
"""

from collections.abc import Iterable, Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from merv.data.formats.options import by_number, options_of, published_answer, question_text, stretch
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of
from merv.errors import ConfigError, SampleError
from merv.video.media import Span


def answers_beside(questions: Path) -> Path:
    """The list of answers that goes with `..._q.json`: `..._a.json`."""
    return questions.with_stem(f"{questions.stem.removesuffix('_q')}_a")


def by_id(answers: Iterable[Any], path: Path) -> dict[str, Any]:
    """Rows of the list of answers by the question they belong to.

    Raises:
        ConfigError: one names no question; says which row of `path`.
    """
    known = {}
    for number, row in enumerate(answers):
        try:
            if isinstance(row, JSONDecodeError):
                raise SampleError(f"not JSON: {row.msg}")
            known[text_of(row, "question_id")] = row
        except SampleError as error:
            raise ConfigError(f"{path} row {number}: {error}; repair or drop the row") from error
    return known


def question_of(row: Any, answers: Mapping[str, Any], fps: float | None = None) -> Question:
    """What a question and its answer say; `more` holds the frame up to which the video is meant.

    Args:
        row: The question.
        answers: As `by_id` gives them.
        fps: Frames a second of the video, to end it at its `end_frame`; None means all of it.

    Raises:
        SampleError: a field is missing or holds something else, or there is no answer.
        Skip: the answer is not published.
    """
    name, options = text_of(row, "question_id"), options_of(row, "options")
    if name not in answers:
        raise SampleError(f"question `{name}` has no answer in the other list")
    return Question(
        id=name,
        text=question_text(row),
        video=text_of(row, "video_name"),
        options=options,
        answer=by_number(published_answer(answers[name], "answer_id"), options),
        span=_span(row, fps),
        duration=row.get("duration"),
        kind=str(row.get("type", "")),
        more={"end_frame": row.get("end_frame")},
    )


def up_to_frame(end_frame: Any, fps: float | None) -> Span | None:
    """The stretch that ends at a frame; None, all of the video, where frame or rate is not known.

    Raises:
        SampleError: the frame is no number from 0.
    """
    if end_frame is None or not fps:
        return None
    return stretch(0.0, end_frame / fps if isinstance(end_frame, int | float) else end_frame)


def _span(row: Any, fps: float | None) -> Span | None:
    times = value_of(row, "time")
    if not times:
        return up_to_frame(row.get("end_frame"), fps)
    if not isinstance(times, list):
        raise SampleError(f"field time: found {times!r}; expected start and end in seconds")
    start, end = [*times, None][:2]
    return stretch(start, float("inf") if end is None else end)
