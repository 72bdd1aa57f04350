import pytest
from evaluation.tasks.small import MLVU

from merv.data.formats.mlvu import question_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

ROW = {**MLVU, "question_type": "plotQA"}


def test_videos_stand_in_the_folder_of_their_list():
    question = question_of(ROW, "1_plotQA", 4)

    assert (question.id, question.video) == ("1_plotQA_4", "1_plotQA/m.mp4")
    assert (question.answer, question.duration, question.kind) == (1, 246, "plotQA")


def test_a_stray_answer_and_an_empty_question_are_kept_for_those_who_count_them():
    question = question_of({**ROW, "answer": "Pink", "question": ""}, "2_needle", 0)

    assert (question.answer, question.text) == (None, "")


def test_rows_for_free_text_are_left_out():
    with pytest.raises(Skip, match=r"^without options$"):
        question_of({name: value for name, value in ROW.items() if name != "candidates"}, "9_summary", 0)


def test_a_row_of_another_shape_is_no_row_for_free_text():
    with pytest.raises(SampleError, match=r"^field question: found nothing; expected text$"):
        question_of({"vid": "a", "query": "b"}, "9_summary", 0)


def test_a_row_without_a_type_is_refused():
    with pytest.raises(SampleError, match=r"^field question_type: found nothing; expected text$"):
        question_of(MLVU, "1_plotQA", 0)
