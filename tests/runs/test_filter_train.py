"""`merv filter train-classifier`: what it leaves, that it learns, and every line about what a user can cause."""

import errno
import json
import os
from unittest import mock

import pytest
from filters.pictures import draw_labelled, shapes
from PIL import Image

from merv import space
from merv.runs.cli import main

SMALL = ("--arch", "tiny", "--init", "random", "--image_size", "16", "--epochs", "2", "--batch_size", "8")


def train(folder, out, *more):
    words = ["filter", "train-classifier", str(folder), "--out", str(out), "--num_workers", "0", *SMALL, *more]
    with mock.patch("merv.runtime.setup_logging"):
        return main(words)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return draw_labelled(tmp_path_factory.mktemp("data") / "labelled", 10, size=16)


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "quality"
    assert train(labelled, out) == 0
    return out


def read(out, name="training_results.json"):
    return json.loads((out / name).read_text())


@pytest.mark.slow
def test_planted_quality_is_learnt(tmp_path):
    draw_labelled(tmp_path / "labelled", 100)

    words = ("--image_size", "48", "--epochs", "20", "--batch_size", "16", "--learning_rate", "0.005")
    words += ("--test_share", "0.2", "--patience", "6")
    assert train(tmp_path / "labelled", tmp_path / "quality", *words) == 0

    found = read(tmp_path / "quality")
    assert found["counts"]["test"] == {"low_quality": 20, "high_quality": 20}
    assert found["test_metrics"]["accuracy"] >= 0.95


def test_the_folder_has_weights_config_split_results_and_a_picture(trained):
    assert sorted(os.listdir(trained)) == [
        "config.json",
        "filter_lineage.json",
        "model.safetensors",
        "split.json",
        "training_history.png",
        "training_results.json",
    ]
    assert read(trained, "config.json")["arch"] == "tiny"
    with Image.open(trained / "training_history.png") as picture:
        assert picture.size == (1080, 456)


def test_results_begin_with_the_published_keys(trained):
    found = read(trained)

    assert list(found)[:5] == ["test_metrics", "train_losses", "val_losses", "train_accs", "val_accs"]
    assert list(found["test_metrics"]) == ["accuracy", "precision", "recall", "f1"]
    assert len(found["train_losses"]) == len(found["val_accs"]) == 2
    assert found["counts"]["train"] == {"low_quality": 8, "high_quality": 8}
    assert sum(map(sum, found["test_confusion_matrix"]["rows_are_folders"])) == 2
    assert found["unreadable"] == []


def test_the_split_is_written_and_its_hash_stands_in_config_and_lineage(trained, labelled):
    names = read(trained, "split.json")
    lineage = read(trained, "filter_lineage.json")

    assert {name: len(paths) for name, paths in names.items()} == {"train": 16, "val": 2, "test": 2}
    assert all((labelled / name).is_file() for paths in names.values() for name in paths)
    assert read(trained, "config.json")["split_sha256"] == lineage["model"]["split_sha256"]
    assert lineage["counts"] == {"train": 16, "val": 2, "test": 2, "unreadable": 0}
    assert lineage["options"]["seed"] == 42


def test_unreadable_images_are_listed_and_not_trained_on(labelled, tmp_path):
    folder = draw_labelled(tmp_path / "labelled", 10, size=16)
    (folder / "1" / "broken.png").write_bytes(b"\x89PNG")

    assert train(folder, tmp_path / "quality") == 0

    [lost] = read(tmp_path / "quality")["unreadable"]
    assert lost["filename"] == "1/broken.png"
    assert "cannot be read" in lost["reason"]
    assert sum(map(len, read(tmp_path / "quality", "split.json").values())) == 20


def refused(capsys, folder, out, *more):
    assert train(folder, out, *more) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("merv filter train-classifier: error: ")
    return told


def test_what_a_user_can_cause_is_one_line_and_leaves_nothing(labelled, tmp_path, capsys):
    only = tmp_path / "only"
    (only / "0").mkdir(parents=True)
    (only / "1").mkdir()
    shapes(1).save(only / "0" / "a.png")
    out = tmp_path / "out"

    assert "1 holds no images" in refused(capsys, only, out)[0]
    (only / "1" / "b.png").write_text("x")
    assert "folder 0 has 1 readable images" in refused(capsys, only, out)[0]
    (only / "0" / "a.png").write_text("x")
    assert "none of the 2 images of" in refused(capsys, only, out)[0]
    assert "expected: DIR/" in refused(capsys, only / "0", out)[1]
    assert "lies in" in refused(capsys, labelled, labelled / "out")[0]
    assert "arch tiny has no weights of ImageNet" in refused(capsys, labelled, out, "--init", "imagenet")[0]
    assert sorted(os.listdir(tmp_path)) == ["only"]


def test_a_folder_that_is_there_stays_unless_it_may_go(labelled, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()

    assert "is there already; name another --out, or add --overwrite" in refused(capsys, labelled, tmp_path / "out")[0]
    assert train(labelled, tmp_path / "out", "--overwrite") == 0
    assert not (tmp_path / "out" / "mine").exists()


def test_a_full_disk_is_told_before_training_and_leaves_nothing_when_it_fills_later(labelled, tmp_path, capsys):
    with mock.patch.object(space.shutil, "disk_usage", return_value=mock.Mock(free=1000)):
        assert "GB free; name an --out on a larger disk" in refused(capsys, labelled, tmp_path / "out")[0]
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("merv.runs.filter_train.draw_history", side_effect=full):
        assert "No space left on device; make room" in refused(capsys, labelled, tmp_path / "out")[0]
    assert os.listdir(tmp_path) == []


def test_help_names_every_option(capsys):
    assert main(["filter", "train-classifier", "--help"]) == 0
    assert "--schedule" in capsys.readouterr().out
