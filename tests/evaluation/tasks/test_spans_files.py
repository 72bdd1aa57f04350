import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.spans_files import first_video, read_durations, windows_of

from .small import write, write_csv


@pytest.mark.parametrize(
    ("value", "windows"),
    [
        ([[1, 2.5], [4, 3]], [(1.0, 2.5), (3.0, 4.0)]),
        ([1, 2], [(1.0, 2.0)]),
        ((1, 2), [(1.0, 2.0)]),
        ([[5, 5]], [(5.0, 5.0)]),
    ],
)
def test_windows_are_a_list_or_a_single_one_with_ends_in_order(value, windows):
    assert windows_of(value, "row 0") == windows


@pytest.mark.parametrize(
    "value", [None, [], [1], [1, 2, 3], [[1]], [["1", "2"]], [[True, False]], [[0, float("nan")]], "1 2"]
)
def test_what_is_no_window_is_refused(value):
    with pytest.raises(ConfigError, match="row 0: windows are"):
        windows_of(value, "row 0")


def test_durations_join_what_is_there_and_a_given_file_replaces_it(tmp_path):
    table = write_csv(tmp_path / "lengths.csv", [{"id": "a", "length": "3.5"}, {"id": "b", "length": "4"}])
    measured = write(tmp_path / "durations.json", {"b": 4.25})

    assert read_durations(None, [table, measured, tmp_path / "none.json"]) == {"a": 3.5, "b": 4.25}
    assert read_durations(measured, [table]) == {"b": 4.25}


def test_a_duration_that_is_no_number_names_its_video(tmp_path):
    path = write(tmp_path / "durations.json", {"b": None})

    with pytest.raises(ConfigError, match=r"duration of `b` is None; expected a number"):
        read_durations(path)


def test_a_missing_file_of_durations_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"durations\.json is missing"):
        read_durations(tmp_path / "durations.json")


def test_the_first_name_stands_for_a_video_that_is_not_there(tmp_path):
    assert first_video(tmp_path, "a", "b").name == "a.mp4"

    (tmp_path / "b.webm").touch()

    assert first_video(tmp_path, "a", "b").name == "b.webm"
