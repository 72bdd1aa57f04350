import pytest

from merv.data.formats.role_rows import Skip
from merv.data.formats.video_moments import (
    Moment,
    by_neighbours,
    each_moment,
    paired,
    read_moments,
    skip_without_length,
)
from merv.errors import ConfigError, SampleError


def test_a_bad_moment_costs_no_other(tmp_path):
    moments = [
        Moment("a", "a dog", [1, 2], 9.0),
        Moment("a", "a dog", [2, 1], 9.0),
        Moment("b", [3], [1, 2], 9.0),
        Moment("../b", "a dog", [1, 2], 9.0),
        Moment("c", problem=SampleError("no list")),
        Moment("d", problem=Skip("gone")),
        Moment("e", "a dog", [1, 12], 9.0),
    ]

    reading = read_moments(moments, tmp_path, dataset="d", path=tmp_path / "list")

    assert [sample.id for sample in reading.samples] == ["d-0", "d-6"]
    assert reading.samples[1].meta["windows"] == [(1.0, 9.0)]
    assert [(bad.row, bad.reason) for bad in reading.bad_rows] == [
        (1, "video `a`: window 2 - 1 s runs backwards"),
        (2, "video `b`: field query: found list [3]; expected text"),
        (3, f"video `../b`: video '../b.mp4' leads out of {tmp_path}"),
        (4, "video `c`: no list"),
    ]
    assert reading.skipped == {"gone": 1}
    assert reading.num_rows == 7


def test_videos_that_are_gone_are_skipped_on_demand(tmp_path):
    (tmp_path / "a.mp4").touch()
    moments = [Moment(video, "a dog", [1, 2], 9.0) for video in "ab"]

    reading = read_moments(moments, tmp_path, dataset="d", path=tmp_path, only_present=True)

    assert (list(reading.rows), reading.skipped) == ([0], {"without a video in the folder": 1})
    with pytest.raises(ConfigError, match="cannot be listed"):
        read_moments(moments, tmp_path / "none", dataset="d", path=tmp_path, only_present=True)


def test_a_video_whose_entry_cannot_be_read_is_one_row():
    def moments_of(video, entry):
        yield Moment(video, entry)
        if entry == "bad":
            raise SampleError("broken")
        yield Moment(video, "more")

    found = list(each_moment([("a", "bad"), ("b", "good")], moments_of))

    assert [moment[:2] for moment in found] == [("a", "bad"), ("a", None), ("b", "good"), ("b", "more")]
    assert str(found[1].problem) == "broken"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "found int 3; expected an object"),
        ({"times": []}, "field texts: found nothing; expected a list"),
        ({"texts": [], "times": "x"}, 'field times: found str "x"; expected a list'),
        ({"texts": ["a"], "times": []}, "texts and times are not lists of one length: found 1 and 0"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(entry, message):
    with pytest.raises(SampleError, match=message):
        paired(entry, "texts", "times")


def test_neighbours_ask_for_one_another_unless_they_are_far_apart():
    asked = [("a", [0, 2]), ("b", [4.9, 6]), ("c", [9, 10])]

    found = list(by_neighbours(asked, within_s=3))

    assert [(query, window) for query, window, _ in found] == [
        ("The moment before b", [0, 2]),
        ("The moment after a", [4.9, 6]),
        ("The moment before c", [4.9, 6]),
        ("The moment after b", [9, 10]),
    ]
    assert [str(skip or "") for _, _, skip in found] == ["", "", *["whose neighbour is 3 s away or more"] * 2]


@pytest.mark.parametrize("window", [None, [1], {"a": 1}, ["x", "y"]])
def test_neighbours_of_what_is_no_window_are_left_to_the_check_of_windows(window):
    assert [skip for _, _, skip in by_neighbours([("a", window), ("b", window)], within_s=3)] == [None, None]


def test_only_a_window_that_ends_where_it_begins_has_no_length():
    with pytest.raises(Skip, match="with a span without length"):
        skip_without_length([2, 2.0])

    for window in ([1, 2], [2, 1], None, [1], [1, 1, 1], [None, None]):
        skip_without_length(window)
