import pytest

from merv.data.formats.queryd import read
from merv.errors import ConfigError

from ..role_layout import write, write_pickle


def read_files(tmp_path, captions, times, durations, videos=("video-a",)):
    return read(
        write(tmp_path / "list.txt", "\n".join(videos) + "\n"),
        write_pickle(tmp_path / "captions.pkl", captions),
        write_pickle(tmp_path / "times.pkl", times),
        write(tmp_path / "durations.json", durations),
        tmp_path / "videos",
        dataset="y",
    )


def test_captions_meet_their_spans(tmp_path):
    captions = {"video-a": [["a", "dog"], ["a", "cat"]], "video-b": [["x"]], "video--c": [["a", "man."]]}
    times = {"video-a": [[1, 2], [3, 4]], "video-b": [[0, 1]], "video--c": [[5.5, 9]]}

    reading = read_files(tmp_path, captions, times, {"a": 20, "-c": 8}, videos=["video-a", "video--c"])

    assert [sample.meta["query"] for sample in reading.samples] == ["a dog", "a cat", "a man"]
    assert [sample.meta["windows"] for sample in reading.samples] == [[(1.0, 2.0)], [(3.0, 4.0)], [(5.5, 8.0)]]
    assert reading.samples[2].media[0].path == tmp_path / "videos" / "-c.mp4"
    assert list(reading.rows) == [0, 1, 2]


def test_spans_without_length_and_unpublished_videos_are_skipped_and_counted(tmp_path):
    captions = {"video-a": [["x"]] * 3, "video-b": [["x"]] * 2}
    times = {"video-a": [[4, 4], [1, 2], [5, 5]], "video-b": [[1, 2], [3, 3]]}

    reading = read_files(tmp_path, captions, times, {"a": 20}, videos=["video-a", "video-b", "video-none"])

    assert list(reading.rows) == [1]
    assert reading.bad_rows == []
    assert reading.skipped == {
        "with a span without length": 2,
        "of videos without a duration, which are not published": 2,
        "of listed videos without a caption": 1,
    }


@pytest.mark.parametrize(
    ("words", "span", "reason"),
    [
        ("a dog", [1, 2], "caption of `a`: expected a list of words"),
        ([1], [1, 2], "caption of `a`: expected a list of words"),
        (["x"], [2, 1], "window 2 - 1 s runs backwards"),
        (["x"], [21, 22], "lies outside the video of 20 s"),
        (["x"], None, "window: found None"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, words, span, reason):
    (bad,) = read_files(tmp_path, {"video-a": [words]}, {"video-a": [span]}, {"a": 20}).bad_rows

    assert reason in bad.reason


def test_files_of_different_versions_are_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"has 2 captions of `video-a` and times.pkl 1 spans; .* download both again"
    ):
        read_files(tmp_path, {"video-a": [["x"], ["y"]]}, {"video-a": [[1, 2]]}, {"a": 20})


@pytest.mark.parametrize("content", [{"video-a": 3}, {"video-a": "text"}])
def test_a_pickle_of_something_else_is_refused(tmp_path, content):
    with pytest.raises(ConfigError, match=r"captions.pkl holds no lists by video; download it again"):
        read_files(tmp_path, content, {"video-a": []}, {})


def test_a_list_that_is_no_text_is_refused(tmp_path):
    files = [write_pickle(tmp_path / name, {}) for name in ("captions.pkl", "times.pkl")]
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"list.txt is not UTF-8 text: invalid start byte"):
        read(tmp_path / "list.txt", *files, write(tmp_path / "durations.json", {}), tmp_path, dataset="y")
