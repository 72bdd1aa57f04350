import pytest

from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Skip
from merv.data.formats.star import question_of
from merv.errors import SampleError
from merv.video.media import Span

from ..question_layout import STAR


def test_a_row_asks_about_a_stretch_of_a_video():
    assert question_of(STAR) == Question(
        id="Sequence_T1_7",
        text="What was opened?",
        video="ABCDE",
        options=["Box.", "Door.", "Bag.", "Cup."],
        answer=1,
        span=Span(1.5, 9.0),
        kind="Sequence",
    )


def test_an_answer_that_is_no_choice_is_none():
    assert question_of({**STAR, "answer": "door"}).answer is None


def test_a_row_of_the_test_split_is_left_out():
    with pytest.raises(Skip, match="without an answer, as a test split's"):
        question_of({name: STAR[name] for name in STAR if name != "answer"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"choices": None}, "field choices: found nothing; expected a list of objects"),
        ({"choices": ["a", "b"]}, "field choices: found list .*; expected a list of objects"),
        ({"choices": [{"choice_id": 0}]}, "field choices: found list .null.; expected texts"),
        ({"question_id": None}, "field question_id: found nothing"),
        ({"video_id": []}, "field video_id: found an empty list"),
        ({"start": None}, "start is None; expected a number"),
        ({"end": 1.0}, "1.5 to 1.0 is no stretch of seconds"),
    ],
)
def test_a_row_of_another_shape_says_why(change, says):
    with pytest.raises(SampleError, match=says):
        question_of({**STAR, **change})
