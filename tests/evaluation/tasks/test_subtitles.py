import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.subtitles import Line, read_clip_lines, read_srt, read_timed, seconds
from merv.evaluation.tasks.videomme import VideommeConfig
from merv.video.media import Span

from .small import write

SRT = (
    "\ufeff1\r\n00:00:01,500 --> 00:00:02,000\r\n<font size='1'>Hello</font>\r\nyou\r\n\r\n"
    "2\n00:01:00.000 --> 01:00:01.250\n\n\nno times here\n\n3\n00:00:05,000 --> 00:00:06,000\nBye\n"
)


def test_subrip_lines_lose_their_markup(tmp_path):
    (tmp_path / "a.srt").write_bytes(SRT.encode() + b"\xff")

    assert read_srt(tmp_path / "a.srt") == [
        Line(1.5, 2.0, "Hello you"),
        Line(60.0, 3601.25, ""),
        Line(5.0, 6.0, "Bye \ufffd"),
    ]
    assert read_srt(tmp_path / "none.srt") == []


def test_both_forms_of_longvideobench_are_read_from_the_video_s_beginning(tmp_path):
    path = write(
        tmp_path / "a.json",
        [
            {"timestamp": [10.5, 12.0], "text": "one"},
            {"timestamp": [13.0, None], "text": "two"},
            {"start": "00:00:14.000", "end": "00:00:15.500", "line": "three"},
        ],
    )

    assert read_timed(path, begin=10.0, duration=8.0) == [
        Line(0.5, 2.0, "one"),
        Line(3.0, 8.0, "two"),
        Line(4.0, 5.5, "three"),
    ]
    assert read_timed(tmp_path / "none.json", begin=0.0, duration=1.0) == []


@pytest.mark.parametrize(
    "rows", [{}, [{"text": "a"}], [{"start": "1", "end": "2", "line": "a"}], ["a"], [{"timestamp": 3}]]
)
def test_subtitles_of_another_shape_are_refused(tmp_path, rows):
    with pytest.raises(ConfigError, match=r"a\.json holds .*; download it again"):
        read_timed(write(tmp_path / "a.json", rows), begin=0.0, duration=1.0)


def test_lines_of_many_clips_come_from_one_file(tmp_path):
    path = write(tmp_path / "s.jsonl", [{"vid_name": "v", "sub": [{"text": "Hi", "start": 1, "end": "2.5"}]}])

    assert read_clip_lines(path) == {"v": [Line(1.0, 2.5, "Hi")]}


@pytest.mark.parametrize("row", [{"vid_name": "v"}, {"vid_name": "v", "sub": [{"text": "a"}]}, {"sub": []}])
def test_a_row_without_lines_is_refused(tmp_path, row):
    with pytest.raises(ConfigError, match=r"s\.jsonl row 0 holds no subtitles"):
        read_clip_lines(write(tmp_path / "s.jsonl", [row]))


def test_of_many_lines_some_are_kept_evenly_and_of_a_stretch_those_that_meet_it():
    lines = [Line(i, i + 1.0, str(i)) for i in range(10)]

    assert VideommeConfig(max_subtitles=2).told(lines) == "2\n7"
    assert VideommeConfig(max_subtitles=None).told(lines) == "\n".join("0123456789")
    assert VideommeConfig().told(lines, Span(3.5, 4.5)) == "3\n4"
    assert VideommeConfig().told([Line(0, 1, "")]) == ""


def test_to_keep_no_line_is_refused():
    with pytest.raises(ConfigError, match="max_subtitles is 0; it must be at least 1"):
        VideommeConfig(max_subtitles=0)


def test_times_have_a_comma_or_a_dot():
    assert (seconds("01:02:03,500"), seconds("1:00:00.25"), seconds("00:00:07")) == (3723.5, 3600.25, 7.0)
