"""Rows of STAR: four options about a stretch of a Charades video, the answer a text.

Wu et al., NeurIPS 2021; https://bobbywu.com/STAR.  A row is `{question_id, question, video_id, start, end, choices:
[{choice_id, choice}, ...], answer}` with seconds of the whole video; programs and scene graphs are left out.
"""

from typing import Any

from merv.data.formats.json_rows import described
from merv.data.formats.options import by_text, published_answer, question_text, stretch
from merv.data.formats.question_fields import number_of
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of
from merv.errors import SampleError


def question_of(row: Any) -> Question:
    """What a row says; its kind is interaction, sequence, prediction or feasibility, as its id begins.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: it has no answer, as in the test split.
    """
    choices = value_of(row, "choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise SampleError(f"field choices: found {described(choices)}; expected a list of objects with `choice`")
    options = [value_of(choice, "choice") for choice in choices]
    if not all(isinstance(option, str) for option in options):
        raise SampleError(f"field choices: found {described(options)}; expected texts")
    name = text_of(row, "question_id")
    return Question(
        id=name,
        text=question_text(row),
        video=text_of(row, "video_id"),
        options=options,
        answer=by_text(published_answer(row, "answer"), options),
        span=stretch(*(number_of(value_of(row, end), end) for end in ("start", "end"))),
        kind=name.split("_")[0],
    )
