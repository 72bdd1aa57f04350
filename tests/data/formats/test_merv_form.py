from pathlib import Path

import pytest
from evaluation.tasks.small import MERV_ANSWERS, MERV_QUESTIONS

from merv.data.formats.json_rows import json_rows
from merv.data.formats.merv_form import answers_beside, by_id, question_of, up_to_frame
from merv.errors import ConfigError, SampleError
from merv.video.media import Span

ANSWERS = by_id(MERV_ANSWERS, Path("test_a.json"))


def test_answers_are_matched_by_id():
    first, second = (question_of(row, ANSWERS) for row in MERV_QUESTIONS)

    assert (first.id, first.answer, first.span) == ("q1", 2, None)
    assert (second.id, second.answer, second.span) == ("q2", 0, Span(0.5, 1.0))
    assert second.more == {"end_frame": 8}


def test_an_open_end_is_the_video_s():
    assert question_of({**MERV_QUESTIONS[0], "time": [1.0, None]}, ANSWERS).span == Span(1.0, float("inf"))


def test_an_end_frame_counts_where_the_rate_is_known():
    row = {**MERV_QUESTIONS[0], "end_frame": 15}

    assert question_of(row, ANSWERS, fps=30.0).span == Span(0.0, 0.5)
    assert question_of(row, ANSWERS).span is None
    with pytest.raises(SampleError, match=r"no stretch of seconds"):
        up_to_frame("soon", 30.0)


def test_the_answers_are_called_like_the_questions():
    assert answers_beside(Path("d/test_q.json")) == Path("d/test_a.json")


def test_a_question_without_answer_is_named():
    with pytest.raises(SampleError, match=r"^question `q1` has no answer in the other list$"):
        question_of(MERV_QUESTIONS[0], {})


def test_a_time_of_another_shape_is_refused():
    with pytest.raises(SampleError, match=r"^field time: found 3; expected start and end in seconds$"):
        question_of({**MERV_QUESTIONS[0], "time": 3}, ANSWERS)


def test_an_answer_of_no_question_is_named_with_its_row():
    with pytest.raises(
        ConfigError, match=r"^test_a.json row 1: field question_id: found nothing; expected text; repair"
    ):
        by_id([MERV_ANSWERS[0], {"answer_id": 0}], Path("test_a.json"))


def test_a_line_of_answers_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "test_a.jsonl"
    path.write_text("{broken")

    with pytest.raises(ConfigError, match=r"row 0: not JSON: .*; repair or drop the row"):
        by_id(json_rows(path, "answers"), path)
