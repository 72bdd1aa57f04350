import pytest

from merv.data.formats.nextgqa import question_of, read_list
from merv.data.formats.questions import Question
from merv.errors import ConfigError, SampleError

from ..question_layout import NEXTGQA, OPTIONS, TRUTHS, write_rows


def test_a_row_is_joined_with_its_windows_and_its_path():
    asked = question_of(NEXTGQA, TRUTHS, {"11": "1001/11"})

    assert asked == Question(
        id="11_0",
        text="why does it run?",
        video="1001/11",
        options=OPTIONS,
        answer=1,
        windows=[(2.0, 4.0), (20.0, 24.5)],
        duration=30.0,
        kind="CW",
        also=("11",),
    )


def test_a_video_without_a_path_stands_under_its_number_and_a_mark_is_not_doubled():
    asked = question_of({**NEXTGQA, "question": "why?"}, TRUTHS, {})

    assert (asked.video, asked.text) == ("11", "why?")


@pytest.mark.parametrize(
    ("change", "truths", "says"),
    [
        ({"qid": "3"}, TRUTHS, "the windows have none for question 3 of video 11"),
        ({"video_id": "12"}, TRUTHS, "the windows have none for question 0 of video 12"),
        ({}, {"11": [1, 2]}, "the windows have none"),
        ({}, {"11": {"duration": 30}}, "the windows have none"),
        ({}, {"11": {**TRUTHS["11"], "duration": None}}, "duration is None; expected a number"),
        ({}, {"11": {"duration": 30, "location": {"0": [["a", 1]]}}}, "windows are"),
        ({"answer": "fly"}, TRUTHS, "answer 'fly' is not one of the options"),
        ({"a4": None}, TRUTHS, "field a4: found nothing; expected text"),
        ({"question": ""}, TRUTHS, "field question: found"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(change, truths, says):
    with pytest.raises(SampleError, match=says):
        question_of({**NEXTGQA, **change}, truths, {})


def test_a_path_that_is_none_is_refused():
    with pytest.raises(SampleError, match="path of video 11: found int 7; expected text"):
        question_of(NEXTGQA, TRUTHS, {"11": 7})


def test_a_list_without_a_column_is_refused(tmp_path):
    path = write_rows(tmp_path / "val.csv", [{name: NEXTGQA[name] for name in NEXTGQA if name != "a3"}])

    with pytest.raises(ConfigError, match=r"val\.csv has no column a3"):
        read_list(path)
