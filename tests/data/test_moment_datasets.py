import logging

import pytest

from merv.data.datasets import DatasetConfig
from merv.data.moment_datasets import (
    ActivitynetCaptionsConfig,
    ActivitynetRtlConfig,
    CharadesStaConfig,
    Ego4dNaqConfig,
    Ego4dNlqConfig,
    EgoTimeqaConfig,
    VideoxumConfig,
    Youcook2Config,
)
from merv.errors import ConfigError

from .moment_layout import CAPTIONS, CHECKED, NAQ, RECIPE, TIMEQA, XUM, write_layout
from .role_layout import VIDEOS, write

EXPECTED = {  # task, samples, first window, video
    "charades_sta": ("moment", 1, (1.5, 9.0), f"charades_sta/{VIDEOS}/AAAAA.mp4"),
    "activitynet_captions": ("moment", 2, (0.5, 9.0), f"activitynet/{VIDEOS}/v_a.mp4"),
    "activitynet_rtl": ("moment", 1, (0.5, 9.0), f"activitynet/{VIDEOS}/v_a.mp4"),
    "ego4d_nlq": ("moment", 1, (2.0, 8.0), f"ego4d/v2/{VIDEOS}/clip.mp4"),
    "ego4d_naq": ("moment", 1, (1.0, 2.5), f"ego4d/v2/{VIDEOS}/clip.mp4"),
    "ego_timeqa": ("choice", 1, (1.0, 2.5), f"ego4d/v2/{VIDEOS}/clip.mp4"),
    "vid_morp": ("moment", 1, (1.5, 9.0), f"vid_morp/{VIDEOS}/abc.mp4"),
    "videoxum": ("moment", 1, (1.5, 5.51), f"activitynet/{VIDEOS}/v_a.mp4"),
    "youcook2": ("moment", 1, (4.0, 9.0), f"youcook2/{VIDEOS}/abc.mp4"),
}
each_set = pytest.mark.parametrize("name", EXPECTED)


def queries(config):
    return [sample.meta["query"] for sample in config.load("align")]


def test_every_set_of_the_module_is_tested():
    ours = [
        name for name in DatasetConfig.available() if DatasetConfig.get(name).__module__.endswith("moment_datasets")
    ]

    assert sorted(ours) == sorted(EXPECTED)


@each_set
def test_every_set_reads_its_published_layout(tmp_path, name):
    task, count, window, video = EXPECTED[name]

    source = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path)).load("align")

    assert [sample.meta["task"] for sample in source] == [task] * count
    assert source[0].meta["windows"][0] == window
    assert source[0].media[0].path == tmp_path / video
    assert [turn.role for turn in source[0].turns] == ["user", "assistant"]
    assert len({sample.id for sample in source}) == count
    assert source.files
    assert not source.bad_rows


@each_set
def test_every_stage_reads_the_same_rows(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=write_layout(tmp_path))

    assert list(config.load("align")) == list(config.load("full-finetune"))


@each_set
def test_a_wrong_root_is_told_in_one_line_with_the_expected_tree(tmp_path, name):
    config = DatasetConfig.new(name, dataset_root_dir=tmp_path / "none")

    with pytest.raises(
        ConfigError, match=f"^dataset `{name}`: .* missing; download it from .* set dataset_root_dir"
    ) as e:
        config.load("align")

    assert "\n" not in str(e.value)
    assert all(str(path) in str(e.value) and path.name in e.value.below for path in config.files())


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("charades_sta", "test", "charades_sta/charades_sta_test.txt"),
        ("activitynet_captions", "val_1", "activitynet_captions/val_1.json"),
        ("activitynet_captions", "val_2", "activitynet_captions/val_2.json"),
        ("activitynet_rtl", "test", "activitynet_rtl/annot_val_1_q229.json"),
        ("ego4d_nlq", "val", "ego4d_nlq/nlq_val.jsonl"),
        ("ego4d_naq", "val", "ego4d_naq/val.json"),
        ("ego4d_naq", "test", "ego4d_naq/test.json"),
        ("videoxum", "val", "videoxum/val_videoxum.json"),
        ("videoxum", "test", "videoxum/test_videoxum.json"),
        ("youcook2", "val", "youcook2/youcookii_annotations_trainval.json"),
    ],
)
def test_a_split_is_a_file_of_its_own(tmp_path, name, split, file):
    assert DatasetConfig.new(name, dataset_root_dir=tmp_path, split=split).files()[0] == tmp_path / file


def test_charades_takes_lengths_of_its_own_csv_where_no_others_are_there(tmp_path):
    write_layout(tmp_path)
    (tmp_path / "charades_sta" / "durations.json").unlink()
    write(tmp_path / "charades_sta" / "Charades_v1_train.csv", 'id,script,length\nAAAAA,"sits, then",8.5\n')

    (sample,) = CharadesStaConfig(dataset_root_dir=tmp_path).load("align")

    assert (sample.meta["windows"], sample.meta["duration"]) == ([(1.5, 8.5)], 8.5)


def test_measured_seconds_of_activitynet_go_before_those_of_the_file(tmp_path):
    config = ActivitynetCaptionsConfig(dataset_root_dir=write_layout(tmp_path))
    assert [sample.meta["duration"] for sample in config.load("align")] == [60.0, 60.0]

    measured = write(tmp_path / "activitynet" / "durations.json", {"v_a": 64.5})

    source = config.load("align")
    assert [sample.meta["duration"] for sample in source] == [64.5, 64.5]
    assert source[1].meta["windows"] == [(9.0, 64.5)]
    assert measured in source.files


def test_activitynet_asks_by_neighbours_on_demand(tmp_path):
    config = ActivitynetCaptionsConfig(dataset_root_dir=write_layout(tmp_path), asked_by="neighbours")

    assert queries(config) == ["The moment before It sleeps", "The moment after A dog runs"]


def test_the_checked_questions_of_rtl_are_rows(tmp_path):
    write(write_layout(tmp_path) / "activitynet_rtl" / "annot_val_1_q229.json", [CHECKED])

    (sample,) = ActivitynetRtlConfig(dataset_root_dir=tmp_path, split="test").load("align")

    assert (sample.meta["query"], sample.media[0].path.name) == ("When?", "v_a.mp4")


def test_queries_of_ego4d_without_length_are_counted_not_bad(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "merv.data.limits"):
        Ego4dNlqConfig(dataset_root_dir=write_layout(tmp_path)).load("align")

    assert "1 samples of 2 rows; left out: 1 with a span without length" in caplog.text


def test_ego4ds_own_file_is_read_where_no_rows_are_there(tmp_path):
    write_layout(tmp_path)
    (tmp_path / "ego4d_nlq" / "nlq_train.jsonl").unlink()
    query = {"query": "Where is the cup?", "clip_start_sec": 1.0, "clip_end_sec": 2.0}
    clip = {"clip_uid": "clip", "video_start_sec": 30.0, "video_end_sec": 60.0}
    clip["annotations"] = [{"annotation_uid": "u", "language_queries": [query]}]
    write(tmp_path / "ego4d_nlq" / "nlq_train.json", {"videos": [{"clips": [clip]}]})

    (sample,) = Ego4dNlqConfig(dataset_root_dir=tmp_path).load("align")

    assert sample.meta == {
        "task": "moment",
        "query": "Where is the cup?",
        "windows": [(1.0, 2.0)],
        "duration": 30.0,
    }


def test_narrations_have_the_limits_videomind_trains_with(tmp_path):
    long, few = {**NAQ["clip"], "num_frames": 30 * 601}, {**NAQ["clip"], "sentences": ["c waits"]}
    write(write_layout(tmp_path) / "ego4d_naq" / "train.json", {**NAQ, "long": long, "few": few})

    assert len(Ego4dNaqConfig(dataset_root_dir=tmp_path).load("align")) == 1
    assert len(Ego4dNaqConfig(dataset_root_dir=tmp_path, max_video_len=700, min_num_words=2).load("align")) == 3


def test_questions_are_left_out_of_the_training_list_of_naq_alone(tmp_path):
    entry = {**NAQ["clip"], "sentences": ["where is the cup?"]}
    write(write_layout(tmp_path) / "ego4d_naq" / "val.json", {"clip": entry})
    write(tmp_path / "ego4d_naq" / "train.json", {"clip": entry, "b": NAQ["clip"]})

    assert queries(Ego4dNaqConfig(dataset_root_dir=tmp_path)) == ["c picks up a cup"]
    assert queries(Ego4dNaqConfig(dataset_root_dir=tmp_path, split="val")) == ["where is the cup?"]


@pytest.mark.parametrize(
    ("options", "task", "span"),
    [
        ({}, "choice", None),
        ({"form": "grounding"}, "moment", None),
        ({"form": "grounded-answer"}, "grounded-choice", None),
        ({"crop": True, "min_crop_len": 0.0}, "choice", (1.0, 2.5)),
    ],
)
def test_egotimeqa_is_asked_in_every_form_of_videomind(tmp_path, options, task, span):
    (sample,) = EgoTimeqaConfig(dataset_root_dir=write_layout(tmp_path), **options).load("align")

    shown = sample.media[0].span
    assert sample.meta["task"] == task
    assert (sample.meta.get("question") or sample.meta["query"]) == "Where did I put the cup?"
    assert (shown and (shown.start, shown.end)) == span


def test_egotimeqa_has_the_limits_videomind_trains_with(tmp_path):
    write(write_layout(tmp_path) / "ego4d" / "v2" / "durations.json", {"clip": 30, "short": 9, "long": 601})
    rows = [{**TIMEQA, "video_id": clip} for clip in ("clip", "short", "long")]
    write(tmp_path / "ego_timeqa" / "annotations.EgoTimeQA.json", [*rows, {**TIMEQA, "question": "Who waits?"}])

    assert [row.meta["duration"] for row in EgoTimeqaConfig(dataset_root_dir=tmp_path).load("align")] == [30.0]


def test_videos_of_youcook2_and_vid_morp_that_are_gone_are_skipped(tmp_path):
    write_layout(tmp_path)
    for folder in ("youcook2", "vid_morp"):
        (tmp_path / folder / VIDEOS / "abc.mp4").unlink()

    for name in ("youcook2", "vid_morp"):
        with pytest.raises(ConfigError, match="left out: 1 without a video in the folder"):
            DatasetConfig.new(name, dataset_root_dir=tmp_path).load("align")


def test_the_splits_of_youcook2_share_a_file(tmp_path):
    database = {"abc": RECIPE, "def": {**RECIPE, "subset": "validation"}}
    write(write_layout(tmp_path) / "youcook2" / "youcookii_annotations_trainval.json", {"database": database})
    write(tmp_path / "youcook2" / VIDEOS / "def.mp4", "")

    for split, video in (("train", "abc.mp4"), ("val", "def.mp4")):
        (sample,) = Youcook2Config(dataset_root_dir=tmp_path, split=split).load("align")
        assert sample.media[0].path.name == video


@pytest.mark.parametrize(
    ("name", "file", "content", "row", "reason"),
    [
        (
            "charades_sta",
            "charades_sta_train.txt",
            "AAAAA 1 9##a dog.\nAAAAA 1##a\n",
            "1",
            "found 'AAAAA 1##a'; expected",
        ),
        (
            "activitynet_captions",
            "train.json",
            {**CAPTIONS, "v_b": [1]},
            "2",
            "video `v_b`: found list [1]; expected an object",
        ),
        ("videoxum", "train_videoxum.json", [XUM, {**XUM, "vsum": None}], "1", "field vsum: found nothing"),
        ("ego4d_naq", "train.json", {**NAQ, "b": {"num_frames": 9}}, "1", "field sentences: found nothing"),
        ("ego_timeqa", "annotations.EgoTimeQA.json", [TIMEQA, {"video_id": 3}], "1", "field question: found nothing"),
    ],
)
def test_a_row_of_another_shape_is_a_bad_row_with_its_number(tmp_path, name, file, content, row, reason):
    write(write_layout(tmp_path) / name / file, content)

    (bad,) = DatasetConfig.new(name, dataset_root_dir=tmp_path).load("align").bad_rows

    assert (str(bad.row), bad.dataset, bad.path) == (row, name, str(tmp_path / name / file))
    assert reason in bad.reason


def test_the_window_of_videoxum_is_the_mean_of_all_annotators(tmp_path):
    (sample,) = VideoxumConfig(dataset_root_dir=write_layout(tmp_path)).load("align")

    assert sample.meta["windows"] == [(1.5, 5.51)]  # 5.506, to a hundredth
