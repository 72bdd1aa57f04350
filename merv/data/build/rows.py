"""Questions as the rows that the joint role's datasets read, see `merv.data.formats.grounded_qa`."""

import json
from collections.abc import Sequence
from typing import Any

from merv.data.build.moments import Moment
from merv.data.build.placing import places_of_answers, with_answer_at
from merv.data.build.validate import Question
from merv.data.datasets import DatasetConfig

READERS = {"qvhighlights": "qvhighlights-qa", "tacos": "tacos-qa", "cosmo_cap": "cosmo-cap-qa"}
"""The dataset that reads questions about a set's videos."""
SUFFIXES = {"tacos": "-cam-002.mp4"}
"""What follows `vid` in the names of a set's videos, where it is not `.mp4`."""
PLAIN = "questions.jsonl"


def list_name(source: str) -> str:
    """Name of the list of questions: the one the set's reader looks for, else `questions.jsonl`."""
    if source not in READERS:
        return PLAIN
    config: Any = DatasetConfig.get(READERS[source])()
    return config.files()[0].name


def suffix_of(source: str) -> str:
    """What follows `vid` in the names of a set's videos."""
    return SUFFIXES.get(source, ".mp4")


def rows_of(asked: Sequence[tuple[Moment, Question]], seed: int) -> list[dict[str, Any]]:
    """A row a question; where the right option stands is spread evenly and depends on the rows and the seed alone."""
    places = places_of_answers([question.num_options for _, question in asked], seed)
    return [_row(moment, question, place, seed) for (moment, question), place in zip(asked, places, strict=True)]


def as_lines(rows: Sequence[Any]) -> str:
    """Rows as JSON, a line each."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _row(moment: Moment, question: Question, place: int, seed: int) -> dict[str, Any]:
    options = with_answer_at(place, question.answer, question.wrong, f"{seed}/row/{question.question}")
    return {
        "qid": moment.id,
        "vid": moment.vid,
        "duration": moment.duration,
        "query": moment.query,
        "span": [list(window) for window in moment.windows],
        "question": question.question,
        "options": options,
        "answer": question.answer,
    }
