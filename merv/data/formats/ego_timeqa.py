"""Rows of EgoTimeQA: questions and answers a language model made of Ego4D's narrations.

Di and Xie, "Grounded Question-Answering in Long Egocentric Videos", CVPR 2024
(https://github.com/Becomebright/GroundVQA).  The fields are those of QA-Ego4D (`merv.data.formats.qa_ego4d`), but
`sample_id` is empty, and moments may begin before 0: GroundVQA makes them longer or shorter around their middle.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from merv.data.formats import qa_ego4d
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import text_of, value_of


def question_of(row: Any, durations: Mapping[str, Any]) -> Question:
    """What a row says; without a name of its own it is called by its clip, its question and where its moment begins.

    A lone `l` in a question is an I that was misread, as VideoMind takes it.

    Args:
        row: The row.
        durations: Seconds by clip; one without has none.

    Raises:
        SampleError: a field is missing or holds something else.
        Skip: it has no answer.
    """
    clip, text = text_of(row, "video_id"), text_of(row, "question")
    name = value_of(row, "sample_id") or f"{clip}-{_digest(clip, text, value_of(row, 'moment_start_frame'))}"
    found = qa_ego4d.question_of({**row, "sample_id": name}, durations)
    return replace(found, text=found.text.replace(" l ", " I "))


def _digest(*parts: Any) -> str:
    return sha256(" ".join(map(str, parts)).encode()).hexdigest()[:12]
