import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import answered, small


def test_pieces_include_their_last_one_and_every_annotator_is_kept(tmp_path):
    first, second = small("didemo", tmp_path).build().samples()

    assert first.meta["windows"] == [(0, 5), (0, 5), (0, 10), (25, 30)]
    assert (first.meta["duration"], second.meta["duration"]) == (27.5, 30.0)  # the second has none in the file
    assert first.media[0].path.name == "1@N02_3_ab.mov"


def test_a_video_may_have_another_suffix_than_the_list_says(tmp_path):
    config = small("didemo", tmp_path)
    (tmp_path / "didemo/videos").mkdir()
    for name in ("1@N02_3_ab.mp4", "4@N05_6_cd.avi"):
        (tmp_path / "didemo/videos" / name).touch()

    assert [s.media[0].path.name for s in config.build().samples()] == ["1@N02_3_ab.mp4", "4@N05_6_cd.avi"]


@pytest.mark.parametrize(
    ("spans", "iou", "first", "fifth"),
    [
        ([[0, 5]], (1 + 1 + 0.5) / 3, 0, 0),
        ([[0.9, 6.1]], (1 + 1 + 0.5) / 3, 0, 0),  # the nearest pieces
        ([[0, 5], [0, 10]], (1 + 1 + 0.5) / 3, 0, 1),  # ranks 1, 1 and 2
        ([[0, 10]], (1 + 0.5 + 0.5) / 3, 0, 0),
        ([[25, 27.5]], 1 / 3, 0, 0),  # the video's end is that of its last piece
        ([[-1, -1], [0, 5]], 0, 0, 0),  # not in the video, and the next does not move up
        ([], 0, 0, 0),
    ],
)
def test_the_best_three_annotators_count(tmp_path, spans, iou, first, fifth):
    task = small("didemo", tmp_path, limit=1).build()

    (item,) = answered(task, spans)

    assert item.scores == {"iou": pytest.approx(iou), "Rank@1": first, "Rank@5": fifth}


def test_rank_1_needs_three_annotators_of_one_mind(tmp_path):
    rows = [{"description": "x", "video": "a.mov", "num_segments": 6, "times": [[1, 1], [1, 1], [1, 1], [4, 5]]}]
    task = small("didemo", tmp_path, annotations=write(tmp_path / "t.json", rows)).build()

    (item,) = answered(task, [[5, 10]])

    assert item.scores == {"iou": 1.0, "Rank@1": 1.0, "Rank@5": 1.0}
    assert task.summary([item])["mIoU"] == 1.0


def test_videomind_takes_the_rounded_mean_of_the_annotators(tmp_path):
    task = small("didemo", tmp_path, protocol="videomind").build()

    first, second = task.samples()

    assert first.meta["windows"] == [(6.0, 12.0)]  # 6.25 .. 12.5, a half goes to the even second
    assert second.meta["windows"] == [(21.0, 29.0)]  # 21.25 .. 28.75
    assert task.summary(answered(task, [[6, 12]], []))["R1@0.7"] == 0.5


@pytest.mark.parametrize("times", [None, [], [[1]], [1, 2], [["a", "b"]]])
def test_bad_times_are_named(tmp_path, times):
    rows = [{"description": "x", "video": "a.mov", "num_segments": 6, "times": times}]
    path = write(tmp_path / "t.json", rows)

    with pytest.raises(ConfigError, match=r"row 0: (times|windows) are"):
        small("didemo", tmp_path, annotations=path).build()


def test_the_genuine_files_are_read():
    folder = real("annotations", "didemo")

    samples = small("didemo", folder, annotations=folder / "test_data.json").build().samples()

    assert len(samples) == 250
    assert samples[0].meta["windows"] == [(20, 25), (20, 25), (0, 5), (20, 25), (0, 5), (0, 5), (20, 25)]
    assert {len(sample.meta["windows"]) for sample in samples} == {4, 7}
    assert all(sample.meta["duration"] > 0 for sample in samples)
