"""Questions built from excerpts of the genuine lists are about the videos and moments of these lists."""

import shutil
from pathlib import Path

import pytest
from data.role_layout import VIDEOS
from docs.stand_in import endpoint_for

from merv.data.build.rows import READERS
from merv.data.datasets import DatasetConfig
from merv.runs.cli import main

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata" / "annotations"
LISTS = {
    "qvhighlights": ("highlight_train_release.jsonl", "QVHighlights-QA"),
    "tacos": ("train.jsonl", "TACoS-QA"),
    "cosmo_cap": ("SYNTHETIC_anno_cosmo_cap.jsonl", "CosMo-Cap-QA"),
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the shared annotation files")


@pytest.mark.parametrize("name", LISTS)
def test_questions_are_about_the_videos_and_moments_they_were_written_from(tmp_path, name):
    file, out = LISTS[name]
    (tmp_path / name / VIDEOS).mkdir(parents=True)
    shutil.copy(FOLDER / name / file, tmp_path / name / file.removeprefix("SYNTHETIC_"))
    source = DatasetConfig.new(name, dataset_root_dir=tmp_path)
    words = ["--source", name, "--source.dataset_root_dir", str(tmp_path), "--out", str(tmp_path / out)]
    words += ["--cache_dir", str(tmp_path / "replies"), "--blind.type", "none", "--limit", "40"]

    with endpoint_for(["data", "build-gqa", *words, "--llm", "http://stand-in"]) as asked:
        assert main(asked) == 0

    options = {"single": False} if name == "qvhighlights" else {}
    built = DatasetConfig.new(READERS[name], dataset_root_dir=tmp_path, **options).load("finetune")
    moments = {
        (sample.media[0].path, tuple(sample.meta["windows"]), sample.meta["duration"])
        for sample in source.load("finetune")
    }
    assert len(built) >= 5
    assert list(built.bad_rows) == []
    for sample in built:
        assert (sample.media[0].path, tuple(sample.meta["windows"]), sample.meta["duration"]) in moments
