import pytest

from merv.data.formats.charades_sta import Line, parse_line, read
from merv.errors import ConfigError, SampleError

from ..role_layout import write


def read_lines(tmp_path, lines, seconds):
    durations = write(tmp_path / ("lengths.csv" if isinstance(seconds, str) else "durations.json"), seconds)
    return read(write(tmp_path / "list.txt", lines), durations, tmp_path, dataset="c")


def test_a_line_is_a_video_its_seconds_and_a_sentence():
    assert parse_line("AAAAA 1.5 9##a dog: sits ## still. ") == Line("AAAAA", (1.5, 9.0), "a dog: sits ## still.")
    assert parse_line("AAAAA 9 1.5##backwards").window == (9.0, 1.5)


@pytest.mark.parametrize(
    "line", ["", "##a", "AAAAA 1##a", "AAAAA 1 2 3##a", "AAAAA 1 2 a", "AAAAA 1 x##a", "A 1 nan##a"]
)
def test_a_line_of_another_shape_is_refused(line):
    with pytest.raises(SampleError, match=r"expected `VIDEO start end##sentence`, start and end in seconds"):
        parse_line(line)


def test_ends_past_the_video_are_cut_and_spans_that_run_backwards_are_bad(tmp_path):
    lines = "\ufeffAAAAA 2 40##a dog.\n\nAAAAA 9 2##a cat.\nAAAAA 31 32##a man.\n"

    reading = read_lines(tmp_path, lines, {"AAAAA": 30.5})

    assert [sample.meta["windows"] for sample in reading.samples] == [[(2.0, 30.5)]]
    assert [(bad.row, bad.reason) for bad in reading.bad_rows] == [
        (1, "video `AAAAA`: window 9 - 2 s runs backwards"),
        (2, "video `AAAAA`: window 31 - 32 s lies outside the video of 30.5 s"),
    ]


def test_a_video_without_a_duration_is_a_bad_row(tmp_path):
    (bad,) = read_lines(tmp_path, "AAAAA 2 4##a dog.\n", {"BBBBB": 3}).bad_rows

    assert bad.reason == "video `AAAAA`: no duration of video `AAAAA` in durations.json"


def test_lengths_come_from_the_csv_of_charades(tmp_path):
    reading = read_lines(
        tmp_path, "AAAAA 2 4##a.\nBBBBB 2 4##b.\n", 'id,script,length\nAAAAA,"a, b",9.5\nBBBBB,,unknown\n'
    )

    assert reading.samples[0].meta["duration"] == 9.5
    assert "duration of the video: found 'unknown'" in reading.bad_rows[0].reason


def test_a_csv_without_lengths_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"lengths.csv has no column length; download it again"):
        read_lines(tmp_path, "AAAAA 2 4##a.\n", "id,script\nAAAAA,x\n")


def test_a_list_that_is_missing_or_no_text_is_named(tmp_path):
    durations = write(tmp_path / "durations.json", {})
    with pytest.raises(ConfigError, match=r"list.txt is missing; download it"):
        read(tmp_path / "list.txt", durations, tmp_path, dataset="c")

    (tmp_path / "list.txt").write_bytes(b"AAAAA 1 2##caf\xe9\n")

    with pytest.raises(ConfigError, match=r"list.txt is not UTF-8 text"):
        read(tmp_path / "list.txt", durations, tmp_path, dataset="c")
