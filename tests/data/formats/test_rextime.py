import pytest

from merv.data.formats.questions import Question
from merv.data.formats.rextime import is_of_activitynet, question_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

from ..question_layout import OPTIONS, REXTIME, REXTIME_MOMENT


def test_a_row_with_options_has_a_letter_and_one_window():
    assert question_of(REXTIME) == Question(
        id="q0",
        text="What follows?",
        video="v_abcdefghijk",
        options=OPTIONS[:4],
        answer=1,
        windows=[(2.0, 4.0)],
        kind="sequential",
    )


def test_a_row_without_options_has_its_window_alone():
    asked = question_of(REXTIME_MOMENT)

    assert (asked.text, asked.windows, asked.duration) == ("What follows?", [(6.0, 9.0)], 20.0)
    assert (list(asked.options), asked.answer) == ([], None)


def test_measured_durations_come_before_those_of_the_rows():
    assert question_of(REXTIME_MOMENT, {"a_b-c_60.0_80.0": 19.5}).duration == 19.5
    assert question_of(REXTIME_MOMENT, {"other": 1}).duration == 20.0


@pytest.mark.parametrize(
    ("video", "expected"),
    [("v_abcdefghijk", True), ("v_cdefghijk_60.0_80.0", False), ("a_b-c_60.0_80.0", False), ("abcdefghijklm", False)],
)
def test_the_name_of_a_video_says_which_set_it_is_of(video, expected):
    assert is_of_activitynet(video) is expected


@pytest.mark.parametrize(("row", "lacks"), [(REXTIME, "ans"), (REXTIME_MOMENT, "relevant_windows")])
def test_rows_of_the_test_split_are_left_out(row, lacks):
    with pytest.raises(Skip, match=r"without an? \w+, as a test split's"):
        question_of({name: row[name] for name in row if name != lacks})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ans": "E"}, "answer 'E' is none of its 4 options"),
        ({"options": "sit"}, "field options: found str"),
        ({"span": None}, "windows are None"),
        ({"vid": None}, "field vid: found nothing"),
        ({"duration": "long"}, "duration is 'long'; expected a number"),
    ],
)
def test_a_row_of_another_shape_says_why(change, says):
    with pytest.raises(SampleError, match=says):
        question_of({**REXTIME, **change})
