"""Rows of Video-MME: four options about videos of eleven seconds to one hour.

Fu et al., CVPR 2025; https://github.com/BradyFU/Video-MME.  The published table has a row a question; the template of
its evaluation has one a video with its `questions`.  `duration` is short, medium or long, not seconds, and options
begin with their letters.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from merv.data.formats.options import by_letter, options_of, published_answer, question_text, without_letters
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of


def asked(rows: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Rows that ask one question each, and the number of the row they stood in; what is none is handed on as it is."""
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("questions"), list):
            yield number, row
            continue
        about = {name: value for name, value in row.items() if name != "questions"}
        for one in row["questions"]:
            yield number, {**about, **one} if isinstance(one, dict) else one


def question_of(row: Any) -> Question:
    """What a row with one question says; `more` holds the groups its score is told apart by.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: no answer is published.
    """
    options = without_letters(options_of(row, "options"))
    kind = text_of(row, "task_type")
    domain = [str(row["domain"])] if "domain" in row else []
    return Question(
        id=text_of(row, "question_id"),
        text=question_text(row),
        video=text_of(row, "videoID", "video_id"),
        options=options,
        answer=by_letter(published_answer(row, "answer"), options),
        kind=kind,
        more={"groups": (kind, text_of(row, "duration"), *domain)},
    )
