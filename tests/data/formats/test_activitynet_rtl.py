import pytest

from merv.data.formats.activitynet_rtl import read, read_checked, times_in

from ..role_layout import write

PAIR = {"q": "When does it run?", "a": "<0.50> <9.00> It runs until <12.00>."}


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ("<0.50> <9> It.", (0.5, 9.0)),
        ("From <7.> to <.5>, then <3>", (7.0, 0.5)),
        ("<3> only", (3.0,)),
        ("at 3 s", ()),
    ],
)
def test_the_first_two_times_of_an_answer_count(answer, times):
    assert times_in(answer) == times


def test_answers_without_two_times_are_skipped(tmp_path):
    pairs = [PAIR, {**PAIR, "a": "It runs at <3.00>."}, {**PAIR, "a": "<9> <1>"}, {"q": "When?"}, "x"]
    path = write(tmp_path / "rows.json", {"v_a": {"duration": 20, "QA": pairs}, "v_b": {"duration": 20}})

    reading = read(path, tmp_path, dataset="r")

    (sample,) = reading.samples
    assert (sample.meta["query"], sample.meta["windows"]) == ("When does it run?", [(0.5, 9.0)])
    assert sample.media[0].path == tmp_path / "v_a.mp4"
    assert reading.skipped == {"whose answer names no two times": 1}
    assert [(bad.row, bad.reason) for bad in reading.bad_rows] == [
        (2, "video `v_a`: window 9 - 1 s runs backwards"),
        (3, "video `v_a`: field a: found nothing; expected text"),
        (4, 'video `v_a`: found str "x"; expected an object'),
        (5, "video `v_b`: field QA: found nothing; expected a list"),
    ]


def test_checked_questions_are_rows_whose_video_lacks_its_prefix(tmp_path):
    row = {"vid": "a", "duration": 20, "question": "When?", "answer": "<1> <2> Then."}

    reading = read_checked(write(tmp_path / "rows.json", [row, 3, {**row, "vid": None}]), tmp_path, dataset="r")

    assert [sample.media[0].path for sample in reading.samples] == [tmp_path / "v_a.mp4"]
    assert [bad.row for bad in reading.bad_rows] == [1, 2]
    assert "field vid: found nothing" in reading.bad_rows[1].reason
