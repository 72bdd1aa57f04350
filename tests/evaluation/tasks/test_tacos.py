import pytest

from merv.errors import ConfigError

from .small import real, write
from .span_small import small

FRAMES = {"s1-d1.avi": {"timestamps": [[49, 98], [147, 294]], "sentences": ["A", "B"], "fps": 29.4, "num_frames": 588}}


def test_a_video_has_its_camera_behind_its_name_or_not(tmp_path):
    config = small("tacos", tmp_path)
    (tmp_path / "tacos/videos").mkdir()
    (tmp_path / "tacos/videos/s1-d2.avi").touch()

    names = [sample.media[0].path.name for sample in config.build().samples()]

    assert names == ["s1-d1-cam-002.mp4", "s1-d2.avi"]


def test_frames_become_seconds_by_the_rate_of_the_video(tmp_path):
    path = write(tmp_path / "val.json", FRAMES)

    samples = small("tacos", tmp_path, annotations=path).build().samples()

    assert [sample.id for sample in samples] == ["s1-d1_0", "s1-d1_1"]
    assert samples[0].meta["windows"] == [pytest.approx((49 / 29.4, 98 / 29.4))]
    assert samples[0].meta["duration"] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0}, "fps is 0.0"),
        ({"sentences": ["A"]}, "not lists of one length"),
        ({"fps": None}, "fps is None"),
    ],
)
def test_a_bad_video_is_named(tmp_path, change, message):
    path = write(tmp_path / "val.json", {"s1-d1.avi": {**FRAMES["s1-d1.avi"], **change}})

    with pytest.raises(ConfigError, match=message):
        small("tacos", tmp_path, annotations=path).build()


def test_the_genuine_rows_and_frames_are_the_same_moments():
    folder = real("annotations", "tacos")

    rows = small("tacos", folder, annotations=folder / "val.jsonl").build().samples()
    frames = small("tacos", folder, annotations=folder / "original_2dtan_val.json").build().samples()

    assert len(rows) == 200
    assert (rows[0].id, rows[0].meta["query"]) == ("s34-d28_0", "The person gets out a knife.")
    assert rows[0].meta["windows"] == [pytest.approx((201 / 29.4, 487 / 29.4))]
    for ours, theirs in zip(frames[:50], rows[:50], strict=True):
        assert ours.id == theirs.id
        assert ours.turns == theirs.turns
        assert ours.meta["windows"] == [pytest.approx(theirs.meta["windows"][0])]
