import pytest
from evaluation.tasks.small import LONGVIDEOBENCH

from merv.data.formats.longvideobench import question_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

ROW = LONGVIDEOBENCH[0]
COLUMNS = {"option0": "a ring", "option1": "a cross", "option2": "N/A", "option3": "N/A", "option4": None}


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


def test_a_row_of_the_list():
    question = question_of(ROW)

    assert (question.id, question.video, question.duration) == ("abcdefghijk_0", "abcdefghijk.mp4", 12.5)
    assert (question.options[question.answer], question.kind) == ("a cross", "T2O")
    assert question.more == {"groups": ("T2O", "15s"), "subtitle_path": "abcdefghijk_en.json", "begin": 10.0}


def test_columns_filled_up_with_na_are_no_options():
    assert question_of({**without(ROW, "candidates"), **COLUMNS}).options == ["a ring", "a cross"]


def test_a_user_s_video_may_be_kept_by_its_number():
    question = question_of(LONGVIDEOBENCH[1])

    assert (question.video, question.also) == ("@user-1234567890123456789.mp4", ("1234567890123456789.mp4",))
    assert question_of(without(LONGVIDEOBENCH[1], "video_path")).also == ("1234567890123456789",)


@pytest.mark.parametrize("row", [{**ROW, "correct_choice": -1}, without(ROW, "correct_choice")])
def test_rows_of_the_test_split_are_left_out(row):
    with pytest.raises(Skip, match=r"without an answer"):
        question_of(row)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "correct_choice": 4}, "answer 4 is none of its 4 options"),
        ({**ROW, "duration": None}, "field duration: found nothing; expected seconds"),
        (without(ROW, "id"), "field id: found nothing; expected text"),
        (7, "found int 7; expected an object"),
    ],
)
def test_a_row_of_another_shape_is_refused(row, message):
    with pytest.raises(SampleError) as caught:
        question_of(row)
    assert str(caught.value) == message
