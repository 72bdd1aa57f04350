import pytest

from merv.data.formats.didemo import mean_window, read
from merv.errors import SampleError

from ..role_layout import write

ROW = {"annotation_id": 9, "description": "a dog", "video": "1@N00_2_ab.mov", "times": [[1, 1]] * 4}


def read_rows(tmp_path, *rows, **options):
    durations = write(tmp_path / "durations.json", {"1@N00_2_ab": 28.5, "short": 7.0})
    return read(write(tmp_path / "rows.json", list(rows)), durations, tmp_path / "videos", dataset="d", **options)


@pytest.mark.parametrize("video", ["1@N00_2_ab.mov", "1@N00_2_ab.3gp", "1@N00_2_ab"])
def test_a_video_is_mp4_whatever_the_list_calls_it(tmp_path, video):
    (sample,) = read_rows(tmp_path, {**ROW, "video": video}).samples

    assert sample.id == "d-9"
    assert sample.media[0].path == tmp_path / "videos" / "1@N00_2_ab.mp4"
    assert sample.meta == {"task": "moment", "query": "a dog", "windows": [(5.0, 10.0)], "duration": 28.5}


@pytest.mark.parametrize(
    ("times", "window"),
    [
        ([[0, 0]] * 4, (0, 5)),
        ([[2, 3]] * 4, (10, 20)),
        ([[1, 1], [1, 1], [1, 1], [0, 0]], (4, 9)),
        ([[0, 0], [1, 1]], (2, 8)),  # 2.5 and 7.5 seconds: ties go to the even second
        ([[0, 5]] * 7, (0, 30)),
    ],
)
def test_segments_are_inclusive_and_the_annotators_mean_counts(times, window):
    assert mean_window(times) == window


def test_a_moment_is_cut_to_the_video(tmp_path):
    (sample,) = read_rows(tmp_path, {**ROW, "times": [[5, 5]] * 4}).samples

    assert sample.meta["windows"] == [(25.0, 28.5)]


def test_shifts_are_whole_seconds_within_the_limit_and_repeat(tmp_path):
    rows = [{**ROW, "annotation_id": number, "times": [[2, 2]]} for number in range(60)]

    first = [sample.meta["windows"][0] for sample in read_rows(tmp_path, *rows, shift_s=2, seed=1).samples]

    assert {start - 10 for start, _ in first} == {-2, -1, 0, 1, 2}
    assert {end - start for start, end in first} == {5}
    assert first == [sample.meta["windows"][0] for sample in read_rows(tmp_path, *rows, shift_s=2, seed=1).samples]
    assert first != [sample.meta["windows"][0] for sample in read_rows(tmp_path, *rows, shift_s=2, seed=2).samples]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"video": "gone.mov"}, "no duration of video `gone` in durations.json"),
        ({"video": "short", "times": [[5, 5]]}, "window 25 - 30 s lies outside the video of 7 s"),
        ({"times": []}, "field times: found an empty list"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, change, reason):
    (bad,) = read_rows(tmp_path, {**ROW, **change}).bad_rows

    assert reason in bad.reason
    assert bad.id == "9"


@pytest.mark.parametrize("times", [None, 3, [1, 2], [[1]], [["a", 2]], [[1, 2, 3]]])
def test_times_that_are_no_pairs_are_refused(times):
    with pytest.raises(SampleError, match=r"field times: found .*; expected pairs of segment numbers"):
        mean_window(times)
