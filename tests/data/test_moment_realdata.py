"""Excerpts of the genuine lists of moment sets, and one made in its shape, as datasets."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from merv.data.datasets import DatasetConfig

from .role_layout import VIDEOS

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata" / "annotations"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the shared annotation files")

FILES = {
    "videoxum/SYNTHETIC_train_videoxum.json": "videoxum/train_videoxum.json",
    "youcook2/youcookii_annotations_trainval.json": "youcook2/youcookii_annotations_trainval.json",
    **{
        path: path
        for split in ("train", "test")
        for path in (f"charades_sta/charades_sta_{split}.txt", f"charades_sta/Charades_v1_{split}.csv")
    },
    **{path: path for split in ("train", "val_1", "val_2") for path in (f"activitynet_captions/{split}.json",)},
}
ACCOUNTS = [  # every row is kept, counted as left out, or bad
    ("charades_sta", {}, "250 samples of 250 rows; 38 windows cut to their videos"),
    ("charades_sta", {"split": "test"}, "250 samples of 250 rows; 34 windows cut to their videos"),
    (
        "activitynet_captions",
        {},
        "719 samples of 722 rows; left out: 3 about videos shorter than 5 s; 1 windows cut to their videos",
    ),
    ("activitynet_captions", {"split": "val_1"}, "540 samples of 540 rows; 2 windows cut to their videos"),
    ("activitynet_captions", {"split": "val_2"}, "553 samples of 553 rows"),
    (
        "activitynet_captions",
        {"asked_by": "neighbours"},
        "886 samples of 1044 rows; left out: 154 whose neighbour is 3 s away or more, "
        "4 about videos shorter than 5 s; 1 windows cut to their videos",
    ),
    ("videoxum", {}, "211 samples of 211 rows"),
    ("youcook2", {}, "810 samples of 897 rows; left out: 87 about videos longer than 500 s"),
    ("youcook2", {"split": "val"}, "284 samples of 343 rows; left out: 59 about videos longer than 500 s"),
    (
        "youcook2",
        {"asked_by": "neighbours"},
        "556 samples of 1558 rows; left out: 968 whose neighbour is 3 s away or more, "
        "34 about videos longer than 500 s",
    ),
]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for source, target in FILES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / source, root / target)
    for name in ("charades_sta", "activitynet", "youcook2"):
        (root / name / VIDEOS).mkdir(parents=True)
    for video in json.loads((root / "youcook2" / "youcookii_annotations_trainval.json").read_text())["database"]:
        (root / "youcook2" / VIDEOS / f"{video}.mp4").touch()
    return root


@pytest.mark.parametrize(("name", "options", "account"), ACCOUNTS)
def test_excerpts_are_read_to_the_last_row(layout, name, options, account, caplog):
    with caplog.at_level(logging.INFO, "merv.data.limits"):
        source = DatasetConfig.new(name, dataset_root_dir=layout, **options).load("align")

    assert caplog.messages == [f"dataset `{name}`: {account}"]
    assert not source.bad_rows
    assert len({sample.id for sample in source}) == len(source)
    for sample in source:
        assert all(0 <= start < end <= sample.meta["duration"] for start, end in sample.meta["windows"])
