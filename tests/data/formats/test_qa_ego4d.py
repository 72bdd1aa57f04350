import pytest

from merv.data.formats.qa_ego4d import question_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

from ..question_layout import EGO4D


def test_frames_are_of_thirty_a_second_whatever_the_video():
    asked = question_of(EGO4D, {"clip": 30})

    assert (asked.id, asked.text, asked.video) == ("s_0", "where was the cat", "clip")
    assert (asked.windows, asked.duration) == ([(2.0, 4.05)], 30.0)


def test_without_options_the_answer_stands_in_the_same_place_every_time():
    asked = question_of(EGO4D, {})

    assert asked == question_of(EGO4D, {})
    assert asked.options[asked.answer] == "On the mat"
    assert [option for option in asked.options if option != "On the mat"] == EGO4D["wrong_answers"]
    assert asked.duration is None


def test_options_of_the_list_are_kept_and_the_answer_found_whatever_its_case():
    asked = question_of({**EGO4D, "options": ["in the hat", "on the mat", "on the bat", "I dont know"]}, {})

    assert (asked.options[1], asked.answer) == ("on the mat", 1)


def test_a_row_without_an_answer_is_left_out():
    with pytest.raises(Skip, match="without an answer"):
        question_of({**EGO4D, "answer": None}, {})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"options": ["in the hat", "on the bat"]}, "answer 'On the mat' is not one of the options"),
        ({"wrong_answers": None}, "field wrong_answers: found nothing"),
        ({"moment_end_frame": None}, "moment_end_frame is None; expected a number"),
        ({"sample_id": None}, "field sample_id: found nothing"),
    ],
)
def test_a_row_of_another_shape_says_why(change, says):
    with pytest.raises(SampleError, match=says):
        question_of({**EGO4D, **change}, {})
