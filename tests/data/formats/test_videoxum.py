import pytest

from merv.data.formats.videoxum import mean_window, read
from merv.errors import SampleError

from ..moment_layout import XUM
from ..role_layout import write


def test_each_sentence_is_taken_once_with_the_mean_of_its_windows(tmp_path):
    row = {
        **XUM,
        "tsum": ["A dog runs.", "It sleeps."],
        "vsum": [[[1, 4]] * 10, [[10 + i, 30 + i] for i in range(10)]],
    }

    reading = read(write(tmp_path / "rows.json", [row]), tmp_path, dataset="x")

    assert [(sample.meta["query"], sample.meta["windows"]) for sample in reading.samples] == [
        ("A dog runs", [(1.0, 4.0)]),
        ("It sleeps", [(14.5, 34.5)]),
    ]
    assert reading.samples[0].media[0].path == tmp_path / "v_a.mp4"


@pytest.mark.parametrize("windows", [None, [], 3, [3], [[1, 2], [1]], [["a", "b"]]])
def test_windows_of_another_shape_are_refused(windows):
    with pytest.raises(SampleError, match="field vsum: found"):
        mean_window(windows)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (3, "found int 3; expected an object"),
        ({**XUM, "tsum": []}, "tsum and vsum are not lists of one length: found 0 and 1"),
        ({**XUM, "duration": None}, "no duration of the video"),
        ({**XUM, "vsum": [[[5, 1]]]}, "window 5 - 1 s runs backwards"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, row, reason):
    reading = read(write(tmp_path / "rows.json", [row, XUM]), tmp_path, dataset="x")

    assert list(reading.rows) == [1]
    assert reason in reading.bad_rows[0].reason
