"""Excerpts of the genuine lists of multiple-choice benchmarks, as datasets."""

import json
import logging

import pytest
from evaluation.tasks.small import real

from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError

GENUINE = {
    "mvbench": ("mvbench/json", 1200, 0, {}),
    "mlvu": ("mlvu/json", 418, 2, {}),
    "videomme": ("videomme/test-00000-of-00001.parquet", 1500, 0, {}),
    "lvbench": ("lvbench/lvbench_clean.json", 100, 0, {}),
    "lvbench cut": ("lvbench/lvbench_clean.json", 92, 1, {"crop": True}),
    "longvideobench": ("longvideobench/lvb_val.json", 250, 0, {}),
    "longvideobench table": ("longvideobench/validation-00000-of-00001.parquet", 250, 0, {}),
    "perception-test": ("perception_test_mcq/dummy_mcq/test_q.json", 9, 0, {"fps": 30.0}),
}


@pytest.mark.parametrize("case", GENUINE)
def test_genuine_lists_are_read_with_few_bad_rows(tmp_path, case):
    place, num_samples, num_bad, options = GENUINE[case]
    path = real("annotations", *place.split("/"))

    config = DatasetConfig.new(case.split()[0], annotations=path, media_root=tmp_path, **options)
    source = config.load("align")

    assert (len(source), len(source.bad_rows)) == (num_samples, num_bad)
    assert len({sample.id for sample in source}) == num_samples
    assert all(0 <= sample.meta["answer"] < len(sample.meta["options"]) for sample in source)


def test_what_is_wrong_with_genuine_rows(tmp_path, caplog):
    folder = real("annotations", "mlvu", "json")

    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = DatasetConfig.new("mlvu", annotations=folder, media_root=tmp_path).load("align")

    assert [(bad.path.rpartition("/")[2], bad.row, bad.reason) for bad in source.bad_rows] == [
        ("2_needle.json", 34, "the answer is none of its 4 options"),
        ("7_topic_reasoning.json", 26, "question: found ''; expected words"),
    ]
    assert caplog.messages[0].endswith("left out: 120 without options")
    assert len(json.loads((folder / "9_summary.json").read_text())) == 60


def test_genuine_times_give_no_grounding_without_durations(tmp_path):
    path = real("annotations", "lvbench", "lvbench_clean.json")

    with pytest.raises(
        ConfigError, match=r"bad: 93, the first, row \d+: no duration of the video; left out: 7 whose time has no"
    ):
        DatasetConfig.new("lvbench", annotations=path, media_root=tmp_path, form="grounding").load("align")


def test_a_genuine_test_split_has_no_answers(tmp_path):
    path = real("annotations", "longvideobench", "test-00000-of-00001.parquet")

    with pytest.raises(ConfigError, match=r"0 samples of 120 rows; left out: 120 without an answer"):
        DatasetConfig.new("longvideobench", annotations=path, media_root=tmp_path).load("align")
