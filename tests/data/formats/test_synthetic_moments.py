import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from merv.data.formats.synthetic_draw import COLOURS, SHAPES, Scene, draw_frame
from merv.data.formats.synthetic_moments import (
    RECORD,
    SHORT_ACT,
    MomentsDrawing,
    backdrop,
    draw_acts,
    draw_frames,
    is_drawn,
    read_clips,
    short_act,
    write_moments,
)
from merv.errors import ConfigError
from merv.evaluation.metrics.spans import iou
from merv.video.decode import read_clip
from merv.video.media import MediaRef

SMALL = MomentsDrawing(num_train=4, num_eval=3, seed=3)
SPLITS = ("train", "eval", "short")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "moments"
    write_moments(root, SMALL)
    return root


def clips(count, **options):
    return [draw_acts(np.random.default_rng([5, i]), **options) for i in range(count)]


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def bright(frame):
    """Where a frame shows the shape instead of the background; (S, S, 3) -> (S, S)."""
    return frame.max(axis=-1) > 110


def colour_in(frame):
    middle = np.median(frame[bright(frame)], axis=0)
    return min(COLOURS, key=lambda name: np.abs(middle - COLOURS[name]).sum())


def ground_in(frame):
    middle = np.median(frame[~bright(frame)], axis=0)
    return min(COLOURS, key=lambda name: np.abs(middle - backdrop(name)).sum())


def shape_in(frame):
    """The shape whose picture is most like what the frame shows, both cut to their edges."""
    seen = cut(bright(frame))
    pictures = {shape: draw_frame(Scene(shape, ("white",), None, (0.5, 0.5), 0.4, 0), 0, 56) for shape in SHAPES}
    return max(SHAPES, key=lambda shape: (cut(bright(pictures[shape])) == seen).mean())


def cut(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    even = [np.linspace(edge[0], edge[-1], 24).round().astype(int) for edge in (rows, columns)]
    return mask[np.ix_(*even)]


@pytest.mark.parametrize("short", [False, True])
def test_acts_fill_a_clip_and_no_two_share_a_background(short):
    found = clips(200, short=short)

    assert {len(clip.acts) for clip in found} == ({3} if short else {2, 3})
    assert {clip.duration for clip in found} == set(range(20, 33))
    for clip in found:
        assert [act.start for act in clip.acts] == [0, *(act.end for act in clip.acts[:-1])]
        assert clip.acts[-1].end == clip.duration
        assert all(2 <= act.end - act.start <= 0.6 * clip.duration for act in clip.acts)
        assert len({act.ground for act in clip.acts}) == len(clip.acts)


@pytest.mark.parametrize("short", [False, True])
def test_a_shape_has_another_colour_than_its_background_and_any_other_equally_often(short):
    acts = [act for clip in clips(1000, short=short) for act in clip.acts]
    pairs = Counter((act.ground, act.colour) for act in acts)

    # 30 pairs of about 2500 acts or more: a share deviates by 0.0036; four of them.
    assert set(pairs) == {(ground, colour) for ground in COLOURS for colour in COLOURS if ground != colour}
    assert [count / len(acts) for count in pairs.values()] == pytest.approx([1 / 30] * 30, abs=0.0145)
    shapes = Counter(act.shape for act in acts)
    assert [shapes[shape] / len(acts) for shape in SHAPES] == pytest.approx([0.25] * 4, abs=0.035)


def test_the_colour_that_names_an_act_may_be_that_of_a_shape_elsewhere():
    misled = [any(other.colour == act.ground for other in clip.acts) for clip in clips(1000) for act in clip.acts]

    # Whoever looks for the colour anywhere in a frame finds other acts, too: a fifth for each of 1.5 others.
    assert np.mean(misled) == pytest.approx(0.29, abs=0.04)


def test_every_background_is_darker_than_every_shape():
    assert max(max(backdrop(name)) for name in COLOURS) < 0.7 * min(max(colour) for colour in COLOURS.values())
    assert len({backdrop(name) for name in COLOURS}) == len(COLOURS)


def test_a_random_span_scores_a_mean_iou_of_0_23():
    rng = np.random.default_rng(0)
    scores = []
    for clip in clips(1500):
        act = clip.acts[rng.integers(len(clip.acts))]
        for _ in range(4):
            start, end = np.sort(rng.uniform(0, clip.duration, 2))
            scores.append(iou((start, end), (act.start, act.end)))

    # The deviation of the mean of 6000 is about 0.004.
    assert np.mean(scores) == pytest.approx(0.226, abs=0.015)


def test_four_frames_of_a_whole_clip_often_miss_a_short_act():
    missed = []
    for clip in clips(1500, short=True):
        act = short_act(clip)
        assert 2 <= act.end - act.start <= SHORT_ACT
        seconds = torch.linspace(0, clip.duration * SMALL.fps - 1, 4).round() / SMALL.fps
        missed.append(not any(act.start <= second < act.end for second in seconds.tolist()))

    assert np.mean(missed) == pytest.approx(0.63, abs=0.05)


@pytest.mark.parametrize("split", SPLITS)
def test_every_frame_shows_the_act_of_its_second(drawn, split):
    shapes = []
    for clip in read_clips(drawn, split):
        read = read_clip(MediaRef(drawn / clip.video), clip.duration * SMALL.fps)
        assert read.duration == clip.duration
        for second, frame in zip(read.times, read.frames.permute(0, 2, 3, 1).numpy(), strict=True):
            [act] = [act for act in clip.acts if act.start <= second < act.end]
            assert (ground_in(frame), colour_in(frame)) == (act.ground, act.colour)
            shapes.append(shape_in(frame) == act.shape)
    # Edges blur in files of this size; a wrong list would agree with a few.
    assert np.mean(shapes) > 0.95


def test_the_shape_of_an_act_stands_or_moves():
    ways = []
    for number, clip in enumerate(clips(60)):
        frames = draw_frames(np.random.default_rng(number), clip, side=56, fps=2)
        for act in clip.acts:
            first, last = (
                np.argwhere(bright(frames[place])).mean(axis=0) for place in (act.start * 2, act.end * 2 - 1)
            )
            ways.append(np.abs(last - first).max() / 56)

    moved = [way for way in ways if way > 0.01]
    assert len(moved) / len(ways) == pytest.approx(0.5, abs=0.15)
    assert min(moved) > 0.3


def test_the_three_lists_have_clips_of_their_own(drawn):
    videos = [clip.video for split in SPLITS for clip in read_clips(drawn, split)]

    assert [len(read_clips(drawn, split)) for split in SPLITS] == [4, 3, 3]
    assert len(set(videos)) == 10
    assert {path.relative_to(drawn).as_posix() for path in drawn.glob("videos/*")} == set(videos)
    assert all(short_act(clip).end - short_act(clip).start <= SHORT_ACT for clip in read_clips(drawn, "short"))


def test_the_same_numbers_draw_the_same_files(drawn, tmp_path):
    write_moments(tmp_path / "again", SMALL)
    write_moments(tmp_path / "other", replace(SMALL, seed=4))

    assert files(tmp_path / "again") == files(drawn)
    assert files(tmp_path / "other")["train.json"] != files(drawn)["train.json"]


def test_more_clips_begin_with_the_same_ones(drawn, tmp_path):
    write_moments(tmp_path / "more", replace(SMALL, num_train=5))

    assert read_clips(tmp_path / "more", "train")[:4] == read_clips(drawn, "train")
    assert read_clips(tmp_path / "more", "eval") == read_clips(drawn, "eval")


def test_a_finished_folder_is_left_alone(drawn, monkeypatch):
    monkeypatch.setattr("merv.data.formats.synthetic_moments.encode_clip", None)

    write_moments(drawn, SMALL)

    assert is_drawn(drawn, SMALL)


def test_a_folder_drawn_otherwise_is_refused(drawn):
    with pytest.raises(
        ConfigError, match=r"was drawn with num_train 4 \(wanted 5\), seed 3 \(wanted 4\); delete it to draw again"
    ):
        write_moments(drawn, replace(SMALL, num_train=5, seed=4))


def test_a_folder_drawn_by_an_older_version_is_refused(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "old")
    record = tmp_path / "old" / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "version": 1}))

    with pytest.raises(ConfigError, match=r"was drawn with version 1 \(wanted 2\); delete it to draw again"):
        is_drawn(tmp_path / "old", SMALL)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()

    with pytest.raises(ConfigError, match=r"holds files but no synthetic-moments\.json; move them away"):
        write_moments(tmp_path, SMALL)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_crash_while_drawing_leaves_nothing(tmp_path, monkeypatch, error):
    def fail(path, frames, fps):
        path.touch()
        if "eval" in path.name:
            raise error

    monkeypatch.setattr("merv.data.formats.synthetic_moments.encode_clip", fail)
    with pytest.raises(type(error)):
        write_moments(tmp_path / "moments", SMALL)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"num_train": 0}, {"num_eval": 0}])
def test_numbers_that_make_no_sense_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match=r"num_clips \d and num_eval \d must be at least 1"):
        write_moments(tmp_path / "moments", replace(SMALL, **wrong))


def test_clips_that_are_not_drawn_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"eval\.json is missing: the clips are not drawn yet; training on"):
        read_clips(tmp_path, "eval")
