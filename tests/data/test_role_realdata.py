"""Excerpts of the genuine annotation files, and made ones in their shape where none was to be had, as datasets."""

import json
import shutil
from pathlib import Path

import pytest

from merv.data.datasets import DatasetConfig
from merv.data.formats import didemo, qvhighlights

from .role_layout import VIDEOS

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata" / "annotations"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the shared annotation files")

FILES = {
    "qvhighlights/highlight_train_release.jsonl": "qvhighlights/highlight_train_release.jsonl",
    "tacos/train.jsonl": "tacos/train.jsonl",
    "didemo/val_data.json": "didemo/train_data.json",
    "didemo/durations.json": "didemo/durations.json",
    "queryd/train_list.txt": "queryd/train_list.txt",
    "queryd/SYNTHETIC_raw_captions_combined_filtered-v2.pkl": "queryd/raw_captions_combined_filtered-v2.pkl",
    "queryd/times_captions_combined_filtered-v2.pkl": "queryd/times_captions_combined_filtered-v2.pkl",
    "queryd/durations.json": "queryd/durations.json",
    "cosmo_cap/SYNTHETIC_anno_cosmo_cap.jsonl": "cosmo_cap/anno_cosmo_cap.jsonl",
    "internvid_vtime/SYNTHETIC_anno_internvid_vtime_query_gpt4o_mini.jsonl": (
        "internvid_vtime/anno_internvid_vtime_query_gpt4o_mini.jsonl"
    ),
    "hirest/all_data_train.json": "hirest/all_data_train.json",
    "videomind_verifying/SYNTHETIC_verifying_qvhighlights_2b.json": "verifying/verifying_qvhighlights_2b.json",
    "videomind_planning/SYNTHETIC_planning_nextqa_qvhighlights_gpt4o_mini.jsonl": (
        "planning/planning_nextqa_qvhighlights_gpt4o_mini.jsonl"
    ),
    "nextqa/val.csv": "nextqa/train.csv",
    "nextqa/map_vid_vidorID.json": "nextqa/map_vid_vidorID.json",
    "deve_qa/SYNTHETIC_deve_qa.json": "deve_qa/DeVE-QA_train.json",
}
COUNTS = {  # samples, bad rows
    "qvhighlights": (200, 0),
    "tacos": (200, 0),
    "didemo": (250, 0),
    "queryd": (566, 0),
    "cosmo_cap": (16, 0),
    "internvid_vtime": (16, 0),
    "hirest_grounding": (270, 1),
    "hirest_step": (1529, 5),
    "verifying": (300, 0),
    "planning": (90, 0),
    "nextqa-mc": (400, 0),
    "deve-qa": (40, 0),
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for source, target in FILES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / source, root / target)
    (root / "deve_qa" / "durations.json").write_text("{}")
    for name in ("qvhighlights", "tacos", "didemo", "queryd", "cosmo_cap", "deve_qa"):
        (root / name / VIDEOS).mkdir()
    (root / "nextqa" / "NExTVideo").mkdir()
    found = json.loads((root / "hirest" / "all_data_train.json").read_text())
    _touch(root / "hirest" / VIDEOS, {file for videos in found.values() for file in videos})
    rows = (root / FILES["internvid_vtime/SYNTHETIC_anno_internvid_vtime_query_gpt4o_mini.jsonl"]).read_text()
    videos = {json.loads(line)["vid"] + ".mp4" for line in rows.splitlines()}
    _touch(root / "internvid_vtime" / "videos_crop_3fps_480_noaudio", videos)
    return root


def _touch(folder, names):
    folder.mkdir()
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize("name", COUNTS)
def test_excerpts_are_read_with_few_bad_rows(layout, name):
    source = DatasetConfig.new(name, dataset_root_dir=layout).load("align")

    assert (len(source), len(source.bad_rows)) == COUNTS[name]
    assert len({sample.id for sample in source}) == len(source)
    for sample in source:
        windows = sample.meta.get("windows", ())
        assert all(0 <= start < end <= sample.meta["duration"] for start, end in windows)


def test_the_bad_rows_of_hirest_are_marks_without_length(layout):
    source = DatasetConfig.new("hirest_step", dataset_root_dir=layout).load("align")

    assert all(bad.reason.endswith("has no length") for bad in source.bad_rows)


def test_rows_without_answers_are_skipped_not_bad():
    reading = qvhighlights.read(FOLDER / "qvhighlights" / "highlight_test_release.jsonl", FOLDER, dataset="q")

    assert reading.skipped.total() == reading.num_rows > 0
    assert not reading.bad_rows


def test_videos_of_didemo_without_a_duration_are_bad_rows():
    files = [FOLDER / "didemo" / name for name in ("test_data.json", "durations.json")]

    reading = didemo.read(*files, FOLDER, dataset="d")

    assert len(reading.samples) + len(reading.bad_rows) == reading.num_rows
    assert all("no duration of video" in bad.reason for bad in reading.bad_rows)
