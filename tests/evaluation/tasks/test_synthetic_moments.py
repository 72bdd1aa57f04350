from pathlib import Path

import pytest

from merv.data.formats.synthetic_moments import SHORT_ACT, MomentsDrawing, read_clips, write_moments
from merv.data.synthetic_roles import SyntheticRoleConfig
from merv.errors import ConfigError
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.synthetic_moments import SyntheticGroundedQaConfig, SyntheticGroundingConfig
from merv.models.reply import Reply

NAMES = ("synthetic-grounding", "synthetic-grounded-qa")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Files are empty: tasks do not open them."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("merv.data.formats.synthetic_moments.encode_clip", lambda path, frames, fps: path.touch())
        patch.setattr("merv.data.formats.synthetic_moments.draw_frames", lambda rng, clip, side, fps: None)
        write_moments(folder(root), MomentsDrawing(num_train=3, num_eval=45, seed=3))
    return root


def folder(root):
    return SyntheticRoleConfig(dataset_root_dir=root).root


def build(name, root, **options):
    return TaskConfig.new(name, dataset_root_dir=root, **options).build()


def clip_of(sample, root, split):
    [clip] = [clip for clip in read_clips(folder(root), split) if folder(root) / clip.video == sample.media[0].path]
    return clip


def answers(task, say):
    """Items of a task whose samples are answered by `say(sample)`, a reply."""
    items = []
    for sample in task.samples():
        parsed = task.read(sample, say(sample))
        items.append(Item(sample, task.score(sample, parsed), parsed))
    return items


def moments(sample):
    return sample.meta["windows"]


def letter(sample, right=True):
    place = sample.meta["answer"] if right else (sample.meta["answer"] + 1) % 4
    return f"({chr(ord('A') + place)})"


def test_grounding_asks_each_held_out_clip_for_one_act(data):
    samples = build("synthetic-grounding", data).samples()

    assert len(samples) == 45
    assert len({sample.media for sample in samples}) == 45
    for sample in samples:
        clip = clip_of(sample, data, "eval")
        [act] = [act for act in clip.acts if act.ground in sample.meta["query"]]
        assert sample.meta["windows"] == [(float(act.start), float(act.end))]
        assert sample.meta["duration"] == clip.duration
        assert sample.meta["query"] in sample.turns[-1].text


def test_grounded_qa_asks_forty_questions_about_short_acts(data):
    samples = build("synthetic-grounded-qa", data).samples()

    assert len(samples) == 40
    for sample in samples:
        clip, meta = clip_of(sample, data, "short"), sample.meta
        [act] = [act for act in clip.acts if meta["question"] == f"What colour is on {act.ground}?"]
        assert (meta["windows"], meta["duration"]) == ([(float(act.start), float(act.end))], clip.duration)
        assert meta["options"][meta["answer"]] == act.colour
        assert len(set(meta["options"]) - {act.ground}) == 4
        assert act.end - act.start <= SHORT_ACT
        assert act.start > 0
        assert act.end < clip.duration
        assert meta["question"] in sample.turns[-1].text


def test_held_out_clips_are_not_those_of_training(data):
    trained = {folder(data) / clip.video for clip in read_clips(folder(data), "train")}

    asked = {sample.media[0].path for name in NAMES for sample in build(name, data, limit=None).samples()}

    assert len(asked) == 90
    assert not asked & trained


@pytest.mark.parametrize("name", NAMES)
def test_the_same_questions_are_asked_every_time(data, name):
    assert build(name, data).samples() == build(name, data).samples()
    assert build(name, data, limit=5).samples() == build(name, data).samples()[:5]
    assert build(name, data, seed=8).samples() != build(name, data).samples()


@pytest.mark.parametrize(("shift", "iou"), [(0.0, 1.0), (1000.0, 0.0)])
def test_a_moment_of_a_head_is_the_answer(data, shift, iou):
    task = build("synthetic-grounding", data)

    items = answers(task, lambda s: Reply("<|reg|>", spans=tuple((a + shift, b + shift, 0.9) for a, b in moments(s))))

    summary = task.summary(items)
    assert (summary["iou"], summary["R1@0.5"]) == (iou, iou)


def test_seconds_in_words_are_an_answer_too(data):
    task = build("synthetic-grounding", data)

    items = answers(task, lambda s: Reply(" ".join(f"{a:.1f} - {b:.1f} seconds" for a, b in moments(s))))

    assert task.summary(items)["iou"] == pytest.approx(1.0)


@pytest.mark.parametrize(("right", "found", "both"), [(True, True, 1), (True, False, 0), (False, True, 0)])
def test_acc_at_gqa_wants_the_option_and_the_moment(data, right, found, both):
    task = build("synthetic-grounded-qa", data)

    def say(sample):
        spans = [(start, end if found else start, 0.9) for start, end in moments(sample)]
        return Reply(letter(sample, right), spans=tuple(spans))

    items = answers(task, say)

    summary = task.summary(items)
    assert (summary["accuracy"], summary["iou"], summary["Acc@GQA"]) == (right, found, both)


@pytest.mark.parametrize("name", NAMES)
def test_a_condition_changes_what_is_shown_and_the_name(data, name):
    blind, still = (build(name, data, condition=condition) for condition in ("no-video", "single-frame"))

    assert (blind.name, still.name) == (f"{name}-no-video", f"{name}-single-frame")
    assert {sample.media for sample in blind.samples()} == {()}
    for sample in still.samples():
        assert sample.media[0].span.start == sample.media[0].span.end == sample.meta["duration"] / 2
    assert build(name, data).name == name


@pytest.mark.parametrize("name", NAMES)
def test_clips_that_are_not_drawn_are_named(tmp_path, name):
    with pytest.raises(
        ConfigError, match=r"\w+\.json is missing: the clips are not drawn yet; training on a synthetic"
    ):
        build(name, tmp_path)


@pytest.mark.parametrize("config", [SyntheticGroundingConfig, SyntheticGroundedQaConfig])
def test_a_limit_that_asks_nothing_is_refused(config):
    with pytest.raises(ConfigError, match="limit is 0; it must be at least 1"):
        config(limit=0)
