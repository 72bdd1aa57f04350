import pytest

from merv.errors import ConfigError
from merv.evaluation.tasks.tvqa import TvqaConfig, find_clip
from merv.video.media import Span

from .small import TVQA, small, write


def test_the_stretch_is_shown_unless_the_whole_clip_is_wanted(tmp_path):
    first, second = small("tvqa", tmp_path).build().samples()

    assert (first.id, first.meta["answer"], first.media[0].span) == ("5", 4, Span(0.5, 1.0))
    assert second.meta["kind"] == "BBT"
    assert small("tvqa", tmp_path, localized=False).build().samples()[0].media[0].span is None


def test_times_that_are_no_numbers_are_taken_as_the_official_code_takes_them(tmp_path):
    path = write(tmp_path / "val.jsonl", [{**TVQA[0], "ts": "NaN-NaN"}])

    assert TvqaConfig(annotations=path).build().samples()[0].media[0].span == Span(10.0, 30.0)


@pytest.mark.parametrize("times", ["3", "9-1", "a-b", None])
def test_times_that_are_no_stretch_are_refused(tmp_path, times):
    path = write(tmp_path / "val.jsonl", [{**TVQA[0], "ts": times}])

    with pytest.raises(ConfigError, match=r"row 0: .* is no stretch of seconds"):
        TvqaConfig(annotations=path).build()


def test_the_public_test_split_is_refused(tmp_path):
    path = write(tmp_path / "test.jsonl", [{k: v for k, v in row.items() if k != "answer_idx"} for row in TVQA])

    with pytest.raises(ConfigError, match="has no answers"):
        TvqaConfig(annotations=path).build()


@pytest.mark.parametrize(
    ("name", "series"),
    [("met_s01e02_seg01_clip_03", "met"), ("s01e01_seg01_clip_00", "bbt"), ("house_s01e01", "house")],
)
def test_frames_stand_in_the_folder_of_their_series_or_below_the_root(tmp_path, name, series):
    assert find_clip(tmp_path, name) == tmp_path / f"{name}.mp4"

    (tmp_path / f"{series}_frames" / name).mkdir(parents=True)

    assert find_clip(tmp_path, name) == tmp_path / f"{series}_frames" / name


def test_the_dialogue_of_the_stretch_is_quoted(tmp_path):
    lines = [{"text": text, "start": i, "end": i + 0.4} for i, text in enumerate(["Early.", "Now.", "Late."])]
    write(tmp_path / "tvqa/tvqa_preprocessed_subtitles.jsonl", [{"vid_name": TVQA[0]["vid_name"], "sub": lines}])

    task = small("tvqa", tmp_path, subtitles=True).build()

    first, second = (sample.turns[0].text for sample in task.samples())
    assert first.startswith("Subtitles:\nNow.\nWho enters?")
    assert second.startswith("Who enters?")
    assert (task.name, task.describe()["without_subtitles"]) == ("tvqa-subtitles", 1)
