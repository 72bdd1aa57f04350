import pytest

from merv.data.formats.cgbench import question_of
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

from ..question_layout import CGBENCH


def test_a_row_has_a_letter_and_several_clues():
    assert question_of(CGBENCH) == Question(
        id="14",
        text="What colour is it?",
        video="BV1",
        options=CGBENCH["choices"],
        answer=2,
        windows=[(300.0, 302.0), (308.0, 310.0)],
        duration=611.0,
        kind="Entity Perception",
    )


def test_measured_durations_come_before_the_rounded_ones():
    assert question_of(CGBENCH, {"BV1": 611.25}).duration == 611.25


def test_a_row_may_have_no_clues_and_no_duration():
    asked = question_of({**CGBENCH, "clue_intervals": [], "duration": None})

    assert (asked.windows, asked.duration) == ([], None)


def test_a_row_without_an_answer_is_left_out():
    with pytest.raises(Skip, match="without an answer"):
        question_of({**CGBENCH, "right_answer": ""})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"right_answer": "H"}, "answer 'H' is none of its 7 options"),
        ({"choices": None}, "field choices: found nothing"),
        ({"clue_intervals": None}, "windows are None"),
        ({"duration": "x"}, "duration is 'x'"),
        ({"video_uid": None}, "field video_uid: found nothing"),
    ],
)
def test_a_row_of_another_shape_says_why(change, says):
    with pytest.raises(SampleError, match=says):
        question_of({**CGBENCH, **change})
