import pytest

from merv.data.formats.open_ended import answers_by_id, question_of
from merv.data.formats.questions import Question
from merv.errors import SampleError

from ..question_layout import ANSWERS, QUESTION


def test_a_question_gets_the_answer_of_its_id():
    assert question_of(QUESTION, answers_by_id(ANSWERS)) == Question(
        id="0", text="what flies above the roof?", video="kite", answer="kite"
    )


def test_what_may_stand_before_a_name_gives_other_names():
    asked = question_of(QUESTION, answers_by_id(ANSWERS), ("v_", ""))

    assert (asked.video, asked.also) == ("v_kite", ("kite",))


def test_a_row_of_lavis_is_question_and_answer_at_once():
    row = {"question_id": "7", "video": "kite", "question": "what?", "answer": "a kite"}

    asked = question_of(row, {"7": row})

    assert (asked.video, asked.answer) == ("kite", "a kite")


def test_numbers_are_read_as_texts():
    asked = question_of({**QUESTION, "question_id": 1}, answers_by_id([{"question_id": "1", "answer": 3}]))

    assert (asked.id, asked.answer) == ("1", "3")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"question_id": "5"}, "question_id 5 has no answer"),
        ({"question_id": None}, "field question_id: found nothing"),
        ({"video_name": None}, "field video_name: found nothing"),
        ({"question": None}, "field question: found nothing"),
    ],
)
def test_a_row_of_another_shape_says_why(change, says):
    with pytest.raises(SampleError, match=says):
        question_of({**QUESTION, **change}, answers_by_id(ANSWERS))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question_id": "0", "answer": "bird"}, "^row 2: question_id 0 has another answer further up$"),
        ({"question_id": "2"}, "^row 2: field answer: found nothing; expected text$"),
        ({"question_id": "2", "answer": True}, "^row 2: field answer: found bool true"),
        ({"answer": "x"}, "^row 2: field question_id: found nothing"),
        ("x", "^row 2: found str"),
    ],
)
def test_answers_that_cannot_be_used_are_named_by_row(row, says):
    with pytest.raises(SampleError, match=says):
        answers_by_id([*ANSWERS, row])


def test_the_same_answer_twice_is_one():
    assert len(answers_by_id([*ANSWERS, ANSWERS[0]])) == 2
