import pytest
from evaluation.tasks.small import LVBENCH

from merv.data.formats.lvbench import asked, question_of, window_of
from merv.data.formats.role_rows import Skip
from merv.errors import SampleError

LISTED = {
    "video": "00000000",
    "question": "Which year?",
    "candidates": ["(A) 1900", "(B) 1901"],
    "answer": "(B) 1901",
    "question_type": ["reasoning"],
    "time_reference": "00:15-00:19",
}


def test_the_official_file_s_videos_are_opened_into_questions():
    first, second = asked(LVBENCH)

    question = question_of(first, 0)
    assert (question.id, question.video, question.text) == ("7", "vid1", "Which year?")
    assert (question.options, question.answer) == (["1900", "1901", "1902", "1903"], 2)
    assert (question.duration, question.windows) == (30.0, ())
    assert question.more["groups"] == ["reasoning", "event understanding"]
    assert question_of(second, 1, windows=True).windows == [(3.0, 4.0)]


def test_videochat_flash_s_list_has_letters_before_options_and_answers():
    question = question_of(LISTED, 5, windows=True)

    assert (question.id, question.options, question.answer) == ("5", ["1900", "1901"], 1)
    assert (question.windows, question.duration) == ([(15.0, 19.0)], None)


def test_one_type_may_stand_without_a_list():
    assert question_of({**LISTED, "question_type": "reasoning"}, 0).more["groups"] == ["reasoning"]


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        ("00:15-00:19", (15.0, 19.0)),
        ("33:52-33:46", (2032.0, 2026.0)),
        ("75:00 - 76:30", (4500.0, 4590.0)),
        ("1:02:03-1:02:04", (3723.0, 3724.0)),
    ],
)
def test_references_are_seconds(reference, window):
    assert window_of(reference) == window


@pytest.mark.parametrize("reference", [None, "", "00:15", "15-19", 15, "00:15-00:19-00:20"])
def test_a_reference_of_another_shape_is_refused(reference):
    with pytest.raises(SampleError, match=r"^field time_reference: found .*; expected mm:ss-mm:ss$"):
        window_of(reference)


def test_a_time_without_length_is_left_out_where_it_is_asked_for():
    row = {**LISTED, "time_reference": "00:15-00:15"}

    assert question_of(row, 0).answer == 1
    with pytest.raises(Skip, match=r"^whose time has no length$"):
        question_of(row, 0, windows=True)


@pytest.mark.parametrize("row", [3, {"key": "v", "qa": 7}, {"key": "v", "qa": ["what?"]}, {"qa": [{"answer": "A"}]}])
def test_what_is_no_question_is_handed_on_and_refused(row):
    (handed,) = asked([row])

    with pytest.raises(SampleError):
        question_of(handed, 0)


@pytest.mark.parametrize("about", [None, 7, {}, {"duration_minutes": "long"}])
def test_a_video_without_minutes_has_no_duration(about):
    first, _ = asked([{**LVBENCH[0], "video_info": about}])

    assert question_of(first, 0).duration is None
