import json
import shutil
from collections import Counter
from pathlib import Path

import draccus
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from merv.data.datasets import DatasetConfig, MixtureConfig, SyntheticConfig
from merv.data.formats.synthetic import ask, encode_clip, with_options, write_synthetic
from merv.data.formats.synthetic_draw import COLOURS, DIRECTIONS, SHAPES, Scene, draw_clip, draw_frame, random_scene
from merv.errors import ConfigError
from merv.video.decode import read_clip
from merv.video.media import MediaRef

SMALL = {"num_train": 20, "num_eval": 8, "seed": 3, "side": 32, "num_frames": 4}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "synthetic"
    write_synthetic(root, **SMALL)
    return root


def rows(path):
    return json.loads(path.read_text())


def scenes(count, **options):
    return [random_scene(np.random.default_rng([5, i]), **options) for i in range(count)]


def shape_mask(scene, frame):
    return (frame != scene.background).any(axis=-1)


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@given(seed=st.integers(0, 10_000), changes=st.booleans(), moves=st.booleans())
def test_a_shape_never_leaves_the_frame(seed, changes, moves):
    scene = random_scene(np.random.default_rng(seed), changes=changes, moves=moves)

    for progress in (0.0, 0.5, 1.0):
        mask = shape_mask(scene, draw_frame(scene, progress, 64))
        middle = np.argwhere(mask).mean(axis=0) / 64
        dx, dy = DIRECTIONS[scene.direction] if scene.direction else (0, 0)
        expected = np.array(scene.centre)[::-1] + (progress - 0.5) * 0.48 * np.array([dy, dx])
        # A triangle's mean lies a third of its radius below its middle; a cut off shape would be off by more.
        offset = np.array([scene.radius / 3 if scene.shape == "triangle" else 0, 0])
        np.testing.assert_allclose(middle, expected + offset, atol=1.5 / 64)


def test_the_four_shapes_differ_in_many_pixels_at_32():
    masks = {
        name: shape_mask(scene, draw_frame(scene, 0.5, 32))
        for name in SHAPES
        for scene in [Scene(name, ("white",), None, (0.5, 0.5), 0.2, 20)]
    }

    for first in SHAPES:
        for second in SHAPES:
            if first < second:
                assert (masks[first] != masks[second]).sum() > 40
    assert not masks["ring"][16, 16]


def test_a_clip_moves_its_way_and_changes_its_colour_halfway():
    scene = Scene("square", ("red", "blue"), "left", (0.5, 0.5), 0.2, 30)

    clip = draw_clip(scene, num_frames=8, side=48)

    middles = [np.argwhere(shape_mask(scene, frame))[:, 1].mean() for frame in clip]
    assert middles == sorted(middles, reverse=True)
    assert middles[0] - middles[-1] == pytest.approx(0.48 * 48 * 7 / 8, abs=1.5)
    seen = [tuple(int(v) for v in frame[shape_mask(scene, frame)][0]) for frame in clip]
    assert seen == [COLOURS["red"]] * 4 + [COLOURS["blue"]] * 4


def test_the_middle_frame_does_not_tell_the_direction():
    for scene in scenes(20, changes=False, moves=True):
        frame = draw_clip(scene, num_frames=8, side=48)[4]
        still = Scene(scene.shape, scene.colours, None, scene.centre, scene.radius, scene.background)
        assert (frame == draw_frame(still, 0.0, 48)).all()


@pytest.mark.parametrize(
    ("changes", "moves", "still", "kinds"),
    [
        (False, True, False, {"shape", "colour", "direction"}),
        (True, True, False, {"shape", "order", "direction"}),
        (True, False, False, {"shape", "order"}),
        (False, False, True, {"shape", "colour"}),
    ],
)
def test_what_is_asked_about_a_scene_can_be_seen_in_it(changes, moves, still, kinds):
    for scene in scenes(10, changes=changes, moves=moves):
        questions = ask(np.random.default_rng(1), scene, still=still)

        assert {question.kind for question in questions} == kinds
        truth = {
            "shape": scene.shape,
            "colour": scene.colours[0],
            "direction": scene.direction,
            "order": " then ".join(scene.colours),
        }
        for question in questions:
            assert question.answer == truth[question.kind]
            assert len(set(question.options)) == 4
            assert question.options.count(question.answer) == 1


def test_text_alone_gives_a_quarter():
    asked = [
        question
        for i, scene in enumerate([*scenes(1500, changes=False, moves=True), *scenes(1500, changes=True, moves=False)])
        for question in ask(np.random.default_rng(i), scene)
    ]

    for kind in ("shape", "colour", "direction", "order"):
        questions = [question for question in asked if question.kind == kind]
        places = Counter(question.options.index(question.answer) for question in questions)
        # A binomial share of 1500 has a deviation of 0.011; four of them.
        assert [places[i] / len(questions) for i in range(4)] == pytest.approx([0.25] * 4, abs=0.045)
        # Neither does it help to prefer the option that is right most often.
        shown = Counter(option for question in questions for option in question.options)
        right = Counter(question.answer for question in questions)
        shares = [right[option] / times for option, times in shown.items()]
        assert np.average(shares, weights=list(shown.values())) == pytest.approx(0.25)
        assert max(shares) < 0.25 + 5 * (0.19 / min(shown.values())) ** 0.5


def test_options_are_lettered():
    assert with_options("What?", ["ring", "cross"]) == "What? Options: (A) ring (B) cross"


def test_clips_are_h264_files_that_show_what_was_drawn(tmp_path):
    scene = Scene("square", ("red",), "right", (0.5, 0.5), 0.25, 40)
    frames = draw_clip(scene, num_frames=16, side=96)

    encode_clip(tmp_path / "clip.mp4", frames, fps=8)

    clip = read_clip(MediaRef(tmp_path / "clip.mp4"), 16)
    assert clip.times == tuple(i / 8 for i in range(16))
    assert clip.duration == 2.0
    difference = np.abs(clip.frames.permute(0, 2, 3, 1).numpy().astype(int) - frames)
    assert difference.mean() < 6  # chroma has half the resolution, so edges bleed


def test_training_rows_are_clips_images_and_text(drawn):
    train = rows(drawn / "train.json")

    media = Counter("video" if "video" in row else "image" if "image" in row else "text" for row in train)
    assert media == {"video": 17, "image": 2, "text": 1}
    for row in train:
        speakers = [message["from"] for message in row["conversations"]]
        assert speakers == ["human", "gpt"] * (len(speakers) // 2)
        assert 2 <= len(speakers) // 2 <= 3
        first = row["conversations"][0]["value"]
        starts = {"video": "<video>\n", "image": "<image>\n"}
        kind = next((kind for kind in starts if kind in row), None)
        assert first.startswith(starts[kind]) if kind else "<" not in first
        if kind:
            assert (drawn / row[kind]).is_file()
    assert Image.open(drawn / next(row["image"] for row in train if "image" in row)).size == (32, 32)


def test_align_asks_the_first_question_of_every_row(drawn):
    train, align = rows(drawn / "train.json"), rows(drawn / "align.json")

    assert [row["id"] for row in align] == [row["id"] for row in train]
    assert [row["conversations"] for row in align] == [row["conversations"][:2] for row in train]


def test_eval_holds_each_kind_equally_often_about_clips_of_its_own(drawn):
    items = rows(drawn / "eval.json")

    assert Counter(item["kind"] for item in items) == {"shape": 2, "colour": 2, "direction": 2, "order": 2}
    videos = {item["video"] for item in items}
    assert len(videos) == 8
    assert not videos & {row.get("video") for row in rows(drawn / "train.json")}
    assert all((drawn / video).is_file() for video in videos)
    assert {item["duration"] for item in items} == {0.5}
    assert all(item["answer"] in item["options"] for item in items)


def test_the_same_numbers_draw_the_same_files(drawn, tmp_path):
    write_synthetic(tmp_path / "again", **SMALL)
    write_synthetic(tmp_path / "other", **{**SMALL, "seed": 4})

    assert files(tmp_path / "again") == files(drawn)
    assert files(tmp_path / "other")["eval.json"] != files(drawn)["eval.json"]


def test_a_finished_folder_is_left_alone(drawn):
    before = (drawn / "train.json").stat().st_mtime_ns

    write_synthetic(drawn, **SMALL)

    assert (drawn / "train.json").stat().st_mtime_ns == before


def test_a_folder_drawn_otherwise_is_refused(drawn):
    with pytest.raises(
        ConfigError, match=r"was drawn with num_train 20 \(wanted 21\), seed 3 \(wanted 4\); delete it"
    ):
        write_synthetic(drawn, **{**SMALL, "num_train": 21, "seed": 4})


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()

    with pytest.raises(ConfigError, match=r"holds files but no synthetic\.json"):
        write_synthetic(tmp_path, **SMALL)


def test_a_crash_while_drawing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("merv.data.formats.synthetic.encode_clip", fail)
    with pytest.raises(OSError, match="disk full"):
        write_synthetic(tmp_path / "synthetic", **SMALL)

    assert list(tmp_path.iterdir()) == []


def test_a_faster_process_wins(drawn, tmp_path, monkeypatch):
    def draw_here_and_there(folder, drawing):
        shutil.copytree(drawn, tmp_path / "synthetic")
        (folder / "mine").touch()

    monkeypatch.setattr("merv.data.formats.synthetic._write", draw_here_and_there)

    write_synthetic(tmp_path / "synthetic", **SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["synthetic"]
    assert files(tmp_path / "synthetic") == files(drawn)


@pytest.mark.parametrize("wrong", [{"num_train": 0}, {"num_eval": -1}, {"side": 33}, {"num_frames": 1}, {"fps": 0}])
def test_numbers_that_make_no_sense_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match="synthetic: num_train"):
        write_synthetic(tmp_path / "synthetic", **{**SMALL, **wrong})


def test_the_config_makes_what_it_loads(tmp_path):
    config = SyntheticConfig(dataset_root_dir=tmp_path, num_train=20, num_eval=0)
    with pytest.raises(ConfigError, match="is not drawn yet; training draws it"):
        config.load("align")

    MixtureConfig(datasets=[config]).make()

    align, finetune = config.load("align"), config.load("full-finetune")
    assert [len(align), len(finetune), len(align.bad_rows)] == [20, 20, 0]
    assert {len(sample.turns) for sample in align} == {2}
    assert finetune.files == [tmp_path / "download/synthetic/train.json"]
    assert Counter(len(sample.media) for sample in finetune) == {1: 19, 0: 1}
    with pytest.raises(ConfigError, match="has no stage `test`"):
        config.load("test")
    with pytest.raises(ConfigError, match=r"seed 7 \(wanted 8\)"):
        SyntheticConfig(dataset_root_dir=tmp_path, num_train=20, num_eval=0, seed=8).load("align")


def test_the_config_survives_a_round_trip_through_draccus():
    config = DatasetConfig.get("synthetic")(num_train=5)

    assert draccus.decode(DatasetConfig, draccus.encode(config, DatasetConfig)) == config
