"""Rows of open-ended question sets: MSVD-QA, MSRVTT-QA, TGIF-QA and ActivityNet-QA.

The files are those of Video-LLaVA's zero-shot evaluation (https://github.com/PKU-YuanGroup/Video-LLaVA), which MERV
took over: a list of `{video_name, question_id, question}` and one of `{question_id, answer}` in an order of its own.
LAVIS (https://github.com/salesforce/LAVIS) has both in one object by question_id, each entry with `video`, `question`
and `answer`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from merv.data.formats.json_rows import described
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of
from merv.errors import SampleError


def question_of(row: Any, answers: Mapping[str, Any], prefixes: Sequence[str] = ("",)) -> Question:
    """What a row of the questions says.

    Args:
        row: The row.
        answers: Rows of the answers by question_id, see `answers_by_id`.
        prefixes: What may stand before the name of a video in its file's name; the first is asked for when none is
            there.

    Raises:
        SampleError: a field is missing or holds something else, or the question has no answer.
    """
    name = text_of(row, "question_id")
    if name not in answers:
        raise SampleError(f"question_id {name} has no answer")
    video, duration = text_of(row, "video_name", "video"), value_of(row, "duration")
    first, *others = (prefix + video for prefix in prefixes)
    return Question(
        id=name,
        text=text_of(row, "question"),
        video=first,
        answer=answer_of(answers[name]),
        duration=duration if isinstance(duration, int | float) else None,
        also=tuple(others),
    )


def answer_of(row: Any) -> str:
    """The words of an answer, which may be a number.

    Raises:
        SampleError: there are none.
    """
    answer = value_of(row, "answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise SampleError(f"field answer: found {described(answer)}; expected text")
    return str(answer)


def answers_by_id(rows: Iterable[Any]) -> dict[str, Any]:
    """Rows of answers by question_id.

    Raises:
        SampleError: a row has none, or another answer than one before it; says which row.
    """
    answers: dict[str, Any] = {}
    for number, row in enumerate(rows):
        try:
            name, answer = text_of(row, "question_id"), answer_of(row)
            if answer_of(answers.setdefault(name, row)) != answer:
                raise SampleError(f"question_id {name} has another answer further up")
        except SampleError as error:
            raise SampleError(f"row {number}: {error}") from error
    return answers
