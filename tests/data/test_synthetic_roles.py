import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import draccus
import numpy as np
import pytest

from merv.agent.plan import read_plan
from merv.data.datasets import DatasetConfig, MixtureConfig
from merv.data.formats.synthetic_draw import COLOURS, SHAPES
from merv.data.formats.synthetic_moments import MomentsDrawing, draw_acts, read_clips, write_moments
from merv.data.synthetic_roles import SyntheticRoleConfig
from merv.errors import ConfigError
from merv.evaluation.metrics.spans import iou
from merv.models.qwen2_vl.tiny import tiny_tokenizer

ROLES = ("grounder", "verifier", "planner", "answerer", "gqa")
SIZES = {"num_clips": 200, "num_eval": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Two hundred clips, whose files are empty: rows do not depend on what they hold."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("merv.data.formats.synthetic_moments.encode_clip", lambda path, frames, fps: path.touch())
        patch.setattr("merv.data.formats.synthetic_moments.draw_frames", lambda rng, clip, side, fps: None)
        config("grounder", root).make()
    return root


@pytest.fixture(scope="module")
def acts(data):
    """What the clips show, by file."""
    root = config("grounder", data).root
    return {root / clip.video: clip for clip in read_clips(root, "train")}


def config(role, root, **options):
    return DatasetConfig.new(f"synthetic-{role}", dataset_root_dir=root, **{**SIZES, **options})


def rows(role, root, stage="finetune"):
    return list(config(role, root).load(stage))


def meant(sample, clip, words):
    """The one act of a clip whose background the words name; they name no other colour."""
    [ground] = [word for word in re.findall(r"\w+", words) if word in COLOURS]
    [act] = [act for act in clip.acts if act.ground == ground]
    return act


def window(act):
    return (float(act.start), float(act.end))


@pytest.mark.parametrize("role", ROLES)
def test_every_stage_has_the_same_rows_in_the_same_order(data, role):
    found = rows(role, data, "align")

    assert found == rows(role, data, "full-finetune")
    assert len({sample.id for sample in found}) == len(found)
    assert all(sample.turns[-1].role == "assistant" for sample in found)
    source = config(role, data).load("finetune")
    assert (source.name, source.files) == (f"synthetic-{role}", [config(role, data).root / "train.json"])


def test_the_five_sets_share_the_tasks_among_them(data):
    tasks = {role: {sample.meta["task"] for sample in rows(role, data)} for role in ROLES}

    assert tasks == {
        "grounder": {"moment"},
        "verifier": {"candidate"},
        "planner": {"plan"},
        "answerer": {"choice"},
        "gqa": {"grounded-choice"},
    }


def test_a_query_names_one_act_and_its_window(data, acts):
    found = rows("grounder", data)

    assert len(found) == sum(len(clip.acts) for clip in acts.values())
    for sample in found:
        clip = acts[sample.media[0].path]
        act = meant(sample, clip, sample.meta["query"])
        assert sample.meta["windows"] == [window(act)]
        assert sample.meta["duration"] == clip.duration
    ways = Counter(re.sub("|".join(COLOURS), "_", sample.meta["query"]) for sample in found)
    assert set(ways) == {"a _ background", "the background is _", "_ around", "What colour is on _?"}
    assert min(ways.values()) > len(found) / 6


def test_a_candidate_is_right_from_an_iou_of_a_half_on(data, acts):
    found = rows("verifier", data)
    values = []
    for sample in found:
        clip = acts[sample.media[0].path]
        start, end = sample.meta["candidate"]
        assert 0 <= start < end <= clip.duration
        values.append(iou((start, end), window(meant(sample, clip, sample.meta["query"]))))
        assert sample.meta["positive"] == (values[-1] >= 0.5)

    right = [value for value in values if value >= 0.5]
    assert 0.38 < len(right) / len(values) < 0.5
    # Easy ones are not all there is: near misses and loose fits are told apart as well.
    assert sum(0.2 < value < 0.5 for value in values) > len(values) / 8
    assert sum(0.5 <= value < 0.8 for value in values) > len(values) / 20
    assert sum(value == 0 for value in values) > len(values) / 8


def test_each_query_has_five_candidates_of_which_two_are_jittered(data, acts):
    groups = defaultdict(list)
    for sample in rows("verifier", data):
        groups[sample.id.rpartition("-")[0]].append(sample)

    assert len(groups) == sum(len(clip.acts) for clip in acts.values())
    for group in groups.values():
        assert len({sample.meta["query"] for sample in group}) == 1
        truth = window(meant(group[0], acts[group[0].media[0].path], group[0].meta["query"]))
        assert [iou(sample.meta["candidate"], truth) >= 0.6 for sample in group[:2]] == [True, True]
        assert [sample.meta["positive"] for sample in (group[2], group[4])] == [False, False]


def test_plans_are_json_that_the_agent_reads_back(data, acts):
    found = rows("planner", data)
    kinds = Counter()
    for sample in found:
        plan, question = json.loads(sample.turns[-1].text), sample.meta["question"]
        assert plan == sample.meta["plan"]
        read = read_plan(sample.turns[-1].text, question)
        assert (read.fallback, read.plain()) == (None, plan)
        kinds[read.roles] += 1
        if read.query:
            act = meant(sample, acts[sample.media[0].path], question)
            assert read.query == f"a {act.ground} background"
            assert question in (f"What colour is on {act.ground}?", f"When is the background {act.ground}?")
        else:
            assert not set(COLOURS) & set(question.split())
        assert ("answerer" in read.roles) == (not question.startswith("When"))

    assert kinds == {(*roles,): 200 for roles in (ROLES[0:2], ("grounder", "verifier", "answerer"), ("answerer",))}
    assert len({sample.meta["question"] for sample in found if len(sample.meta["plan"]) == 1}) == 3


@pytest.mark.parametrize("role", ["answerer", "gqa"])
def test_the_right_option_is_the_colour_on_the_background_and_its_place_says_nothing(data, acts, role):
    found = rows(role, data)
    for sample in found:
        act = meant(sample, acts[sample.media[0].path], sample.meta["question"])
        options = sample.meta["options"]
        assert sample.meta["question"] == f"What colour is on {act.ground}?"
        assert (len(options), len(set(options))) == (4, 4)
        assert set(options) <= {*COLOURS} - {act.ground}
        assert options[sample.meta["answer"]] == act.colour
        assert sample.meta["windows"] == [window(act)]

    # About 500 rows: a share deviates by 0.02; four of them.
    places = Counter(sample.meta["answer"] for sample in found)
    assert [places[i] / len(found) for i in range(4)] == pytest.approx([0.25] * 4, abs=0.08)
    right = Counter(sample.meta["options"][sample.meta["answer"]] for sample in found)
    assert [right[colour] / len(found) for colour in COLOURS] == pytest.approx([1 / 6] * 6, abs=0.07)
    # Nor does a colour: of the rows that offer it, it is right in a quarter.
    offered = Counter(option for sample in found for option in sample.meta["options"])
    assert [right[colour] / offered[colour] for colour in COLOURS] == pytest.approx([0.25] * 6, abs=0.1)


def test_a_question_is_not_answered_by_another_act_alone(data, acts):
    found = rows("gqa", data)
    others = 0
    for sample in found:
        clip = acts[sample.media[0].path]
        act = meant(sample, clip, sample.meta["question"])
        elsewhere = {other.colour for other in clip.acts if other is not act} - {act.colour}
        others += bool(elsewhere & set(sample.meta["options"]))

    # A model that looks at the wrong act mostly finds a wrong option there.
    assert others / len(found) > 0.5


def test_an_answerer_is_shown_the_act_mostly_and_else_the_whole_clip(data, acts):
    found = rows("answerer", data)
    cropped = [sample for sample in found if sample.media[0].span]

    assert len(cropped) / len(found) == pytest.approx(0.7, abs=0.08)
    for sample in cropped:
        [truth], span = sample.meta["windows"], sample.media[0].span
        assert iou((span.start, span.end), truth) >= 0.5
        assert 0 <= span.start < span.end <= acts[sample.media[0].path].duration
    assert len({sample.media[0].span for sample in cropped}) == len(cropped)
    for role in set(ROLES) - {"answerer"}:
        assert {sample.media[0].span for sample in rows(role, data)} == {None}


def test_the_tiny_tokenizer_has_a_token_for_every_word_and_shape(data):
    tokenizer = tiny_tokenizer()
    texts = set()
    for role in ROLES:
        for sample in rows(role, data):
            texts |= {sample.meta.get("query", ""), sample.meta.get("question", ""), *sample.meta.get("options", [])}
    words = {word for text in texts for word in re.findall(r"\w+", text)}

    known = words | {*SHAPES}
    whole = {word for word in known if len(tokenizer(f" {word}", add_special_tokens=False).input_ids) == 1}

    assert {*COLOURS, "background", "around", "colour"} <= words
    assert known - whole == set()


def test_another_seed_draws_and_asks_otherwise(data, tmp_path):
    root = config("grounder", tmp_path).root
    write_moments(root, MomentsDrawing(2, 1, seed=8))

    other = list(config("gqa", tmp_path, num_clips=2, seed=8).load("finetune"))

    assert [sample.meta for sample in other] != [sample.meta for sample in rows("gqa", data)[: len(other)]]


def test_five_sets_draw_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("merv.data.formats.synthetic_moments.encode_clip", lambda path, *_: drawn.append(path))
    sets = [config(role, tmp_path, num_clips=2) for role in ROLES]

    MixtureConfig(datasets=sets).make()
    sets[0].make()

    assert len(drawn) == 4
    mixed = MixtureConfig(datasets=sets).load("finetune")
    assert {sample.meta["task"] for sample in mixed} == {
        "moment",
        "candidate",
        "plan",
        "choice",
        "grounded-choice",
    }


def test_clips_that_are_not_drawn_or_otherwise_are_refused(data, tmp_path):
    with pytest.raises(ConfigError, match=r"`synthetic-verifier`: .*synthetic-moments is not drawn yet; training"):
        config("verifier", tmp_path).load("finetune")
    with pytest.raises(ConfigError, match=r"was drawn with num_train 200 \(wanted 3\), seed 7 \(wanted 8\); delete"):
        config("gqa", data, num_clips=3, seed=8).load("finetune")
    with pytest.raises(ConfigError, match="num_clips 0 and num_eval 1 must be at least 1"):
        config("planner", tmp_path, num_clips=0).make()


def test_the_default_is_a_dataset_of_two_thousand_queries():
    clips = [draw_acts(np.random.default_rng([7, 1, number])) for number in range(SyntheticRoleConfig.num_clips)]

    assert sum(len(clip.acts) for clip in clips) == pytest.approx(2000, abs=50)


@pytest.mark.parametrize("role", ROLES)
def test_the_configs_survive_a_round_trip_through_draccus(role):
    found = DatasetConfig.new(f"synthetic-{role}", num_clips=5, seed=1)

    assert isinstance(found, SyntheticRoleConfig)
    assert draccus.decode(DatasetConfig, draccus.encode(found, DatasetConfig)) == found
    assert found.name == f"synthetic-{role}"
    assert type(found).__doc__.endswith("acts of drawn clips; nothing is downloaded.")
