import pytest

from merv.data.formats.qvhighlights import read

from ..role_layout import WINDOWS, write


def read_rows(tmp_path, *rows, **options):
    return read(write(tmp_path / "rows.jsonl", *rows), tmp_path / "videos", dataset="q", **options)


def test_a_line_gives_a_query_with_its_windows(tmp_path):
    reading = read_rows(tmp_path, {**WINDOWS, "relevant_windows": [[2, 8], [10, 12]]})

    (sample,) = reading.samples
    assert sample.id == "q-7"
    assert sample.media[0].path == tmp_path / "videos" / "a_b_60.0_210.0.mp4"
    assert sample.meta == {
        "task": "moment",
        "query": "A dog runs",
        "windows": [(2.0, 8.0), (10.0, 12.0)],
        "duration": 150.0,
    }


def test_a_suffix_follows_the_video(tmp_path):
    (sample,) = read_rows(tmp_path, {**WINDOWS, "vid": "s1-d2"}, suffix="-cam-002.mp4").samples

    assert sample.media[0].path.name == "s1-d2-cam-002.mp4"


def test_rows_of_a_test_split_are_skipped(tmp_path):
    test_row = {key: value for key, value in WINDOWS.items() if key != "relevant_windows"}

    reading = read_rows(tmp_path, test_row, WINDOWS)

    assert reading.skipped == {"without windows, as test splits are": 1}
    assert (list(reading.rows), reading.bad_rows) == ([1], [])


def test_rows_with_several_windows_are_skipped_on_demand(tmp_path):
    reading = read_rows(tmp_path, {**WINDOWS, "relevant_windows": [[2, 8], [10, 12]]}, WINDOWS, single=True)

    assert reading.skipped == {"with several windows": 1}
    assert len(reading.samples) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"relevant_windows": []}, "no window says when it happens"),
        ({"relevant_windows": "all"}, "window: found 'a'"),
        ({"duration": None}, "no duration of the video"),
        ({"vid": None}, "field vid: found nothing"),
        ({"query": None}, "field query: found nothing"),
        ({"vid": "../a"}, "leads out of"),
        ({"vid": None, "query": None, "relevant_windows": None}, "field vid: found nothing"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, change, reason):
    reading = read_rows(tmp_path, {**WINDOWS, **change}, "[1]", WINDOWS)

    assert reason in reading.bad_rows[0].reason
    assert reading.bad_rows[1].reason == "found list [1]; expected an object"
    assert list(reading.rows) == [2]
