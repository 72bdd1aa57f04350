"""Excerpts of the genuine lists of question sets, and made ones in their shape where none was to be had."""

import logging
import shutil
from pathlib import Path

import pytest

from merv.data.datasets import DatasetConfig

from .role_layout import VIDEOS, write

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata" / "annotations"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the shared annotation files")

FILES = {
    "nextgqa/map_vid_vidorID.json": "nextgqa/map_vid_vidorID.json",
    **{f"nextgqa/{name}": f"nextgqa/{name}" for name in ("val.csv", "test.csv", "gsub_val.json", "gsub_test.json")},
    "star/SEMI_SYNTHETIC_STAR_val.json": "star/STAR_train.json",
    "star/STAR_val.json": "star/STAR_val.json",
    "rextime/SEMI_SYNTHETIC_rextime_val.json": "rextime/rextime_train.json",
    "rextime/rextime_val.jsonl": "rextime/rextime_val.jsonl",
    "cgbench/cgbench_mini.json": "cgbench/cgbench_mini.json",
    "qa_ego4d/SYNTHETIC_annotations.QaEgo4D_val_options.json": "qa_ego4d/annotations.QaEgo4D_val_options.json",
    **{
        f"activitynet_qa/{split}_{part}.json": f"ActivityNet/{split}_{part}.json"
        for split in ("val", "test")
        for part in "qa"
    },
    **{f"msvd_qa/test_{part}.json": f"MSVD/test_{part}.json" for part in "qa"},
    "msvd_qa/lavis_qa_test.json": "MSVD/qa_val.json",
}
MOMENTS = {"form": "grounding"}
BOTH = {"form": "grounded-answer"}
CROP = {"crop": True}
TEST, VAL = {"split": "test"}, {"split": "val"}
ACCOUNTS = [  # every row is kept, counted as left out, or bad
    *(("nextgqa", how, "400 samples of 400 rows") for how in ({}, MOMENTS, BOTH, CROP)),
    *(
        ("nextgqa", TEST | how, "500 samples of 500 rows; 1 windows cut to their videos")
        for how in ({}, MOMENTS, BOTH)
    ),
    ("star", {}, "150 samples of 150 rows"),
    ("star", VAL, "1 samples of 1 rows"),
    *(("rextime", how, "60 samples of 60 rows; 2 windows cut to their videos") for how in ({}, MOMENTS, BOTH)),
    ("rextime", CROP, "60 samples of 60 rows"),
    ("rextime", VAL | MOMENTS, "460 samples of 460 rows; 3 windows cut to their videos"),
    *(("cgbench", how, "250 samples of 250 rows") for how in ({}, MOMENTS, BOTH, CROP)),
    ("qa_ego4d", VAL, "20 samples of 20 rows"),
    ("qa_ego4d", VAL | CROP, "19 samples of 20 rows; left out: 1 whose window has no length"),
    ("activitynet-qa", VAL, "400 samples of 400 rows"),
    ("activitynet-qa", TEST, "400 samples of 400 rows"),
    ("msvd-qa", TEST, "300 samples of 300 rows"),
    ("msvd-qa", VAL, "300 samples of 300 rows"),
]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for source, target in FILES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / source, root / target)
    for name in ("charades_sta", "activitynet", "qvhighlights", "cgbench", "ego4d/v1"):
        (root / name / VIDEOS).mkdir(parents=True)
    for name in ("nextqa/NExTVideo", "MSVD/videos", "ActivityNet/videos"):
        (root / name).mkdir(parents=True)
    write(root / "ego4d" / "v1" / "durations.json", {})
    return root


@pytest.mark.parametrize(("name", "options", "account"), ACCOUNTS)
def test_every_row_of_an_excerpt_is_accounted_for(layout, name, options, account, caplog):
    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = DatasetConfig.new(name, dataset_root_dir=layout, **options).load("align")

    assert caplog.messages == [f"dataset `{name}`: {account}"]
    assert len({sample.id for sample in source}) == len(source)
    for sample in source:
        limit = sample.meta.get("duration", float("inf"))
        assert all(0 <= start < end <= limit for start, end in sample.meta.get("windows", ()))
        assert "options" not in sample.meta or 0 <= sample.meta["answer"] < len(sample.meta["options"])


def test_answers_are_joined_by_their_id_whatever_the_order_of_the_files(layout):
    source = DatasetConfig.new("activitynet-qa", dataset_root_dir=layout, split="test").load("align")

    answers = {sample.id: sample.turns[1].text for sample in source}
    assert (answers["activitynet-qa-v_1QIUV7WYKXg_3"], answers["activitynet-qa-v_9eniCub7u60_2"]) == ("no", "yes")


def test_both_forms_of_msvd_say_the_same(layout):
    pair, whole = (
        DatasetConfig.new("msvd-qa", dataset_root_dir=layout, split=split).load("align") for split in ("test", "val")
    )

    assert [sample.turns for sample in pair] == [sample.turns for sample in whole]
    assert [sample.media for sample in pair] == [sample.media for sample in whole]


def test_windows_of_nextgqa_are_several(layout):
    source = DatasetConfig.new("nextgqa", dataset_root_dir=layout).load("align")

    assert sum(len(sample.meta["windows"]) > 1 for sample in source) == 44
