"""Filters under torchrun: two processes give what one gives, and a failure of one ends both with one line."""

import json

import pytest
import torch
from filters.pictures import draw_labelled
from helpers import run_distributed
from safetensors.torch import load_file

from merv.conf.parse import parse
from merv.errors import ConfigError
from merv.filters.classifier_config import FilterTrainConfig
from merv.filters.sharding import Shard, join_shards
from merv.runs.filter_classify import FilterClassifyConfig, filter_classify
from merv.runs.filter_train import train_classifier

pytestmark = pytest.mark.dist


def train(folder, out, *more):
    words = ["--folder", str(folder), "--out", str(out), "--arch", "tiny", "--init", "random", "--image_size", "16"]
    words += ["--epochs", "3", "--batch_size", "9", "--num_workers", "0", *more]
    return train_classifier(parse(FilterTrainConfig, words), write=lambda text: None)


def classify(folder, model, out):
    words = ["--folder", str(folder), "--model", str(model), "--out", str(out), "--num_workers", "0"]
    return filter_classify(parse(FilterClassifyConfig, words), write=lambda text: None)


def read(out, name):
    return json.loads((out / name).read_text())


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = draw_labelled(tmp_path_factory.mktemp("data") / "labelled", 15, size=16)
    (folder / "0" / "broken.png").write_text("no image")
    return folder


def test_two_processes_train_as_one_does(labelled, tmp_path):
    train(labelled, tmp_path / "one")
    run_distributed(train, labelled, tmp_path / "two")

    one, two = (read(tmp_path / name, "training_results.json") for name in ("one", "two"))
    for name in ("train_losses", "val_losses", "train_accs", "val_accs"):
        assert one[name] == pytest.approx(two[name], abs=1e-5), name  # sums in another order
    assert one["unreadable"] == two["unreadable"]
    assert len(one["unreadable"]) == 1
    assert read(tmp_path / "one", "split.json") == read(tmp_path / "two", "split.json")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    torch.testing.assert_close(first["body.1.running_var"], second["body.1.running_var"], rtol=1e-3, atol=1e-3)


def test_two_processes_classify_as_one_does(labelled, tmp_path):
    train(labelled, tmp_path / "quality")

    classify(labelled, tmp_path / "quality", tmp_path / "one")
    run_distributed(classify, labelled, tmp_path / "quality", tmp_path / "two")

    one, two = (read(tmp_path / name, "classification_report.json") for name in ("one", "two"))
    for name in ("total_images", "low_quality_images", "high_quality_images", "unreadable"):
        assert one[name] == two[name]
    assert [row["image_path"] for row in one["results"]] == [row["image_path"] for row in two["results"]]
    for first, second in zip(one["results"], two["results"], strict=True):
        assert first["confidence"] == pytest.approx(second["confidence"], abs=2e-6)
    trees = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.png")) for n in ("one", "two")]
    assert trees[0] == trees[1]


def collect(size):
    with join_shards() as shard:
        assert shard == Shard.of_world()
        gathered = shard.gather([10 * item for item in shard.take(range(size))])
        return gathered, shard.first(lambda: f"of {shard.rank}")


@pytest.mark.parametrize("size", [0, 1, 5])
def test_results_come_back_in_order_and_the_first_process_speaks_for_all(size):
    first, second = run_distributed(collect, size)

    assert first == ([10 * item for item in range(size)], "of 0")
    assert second == (None, "of 0")


def fail_on(rank, out):
    try:
        with join_shards() as shard, shard.writing(out):
            if shard.rank == rank:
                raise ConfigError(f"no image on {rank}")
            shard.gather([1])
    except ConfigError as error:
        return str(error)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("rank", [0, 1])
def test_what_happens_to_one_process_ends_both_and_leaves_nothing(rank, tmp_path):
    said = run_distributed(fail_on, rank, tmp_path / "out")

    assert said[rank] == f"no image on {rank}"
    assert said[1 - rank] == 2
    assert list(tmp_path.iterdir()) == []


def caught(fn, *args):
    try:
        fn(*args)
    except ConfigError as error:
        return str(error)
    except SystemExit as end:
        return end.code


def test_an_empty_folder_is_told_by_one_process(tmp_path):
    (tmp_path / "empty").mkdir()

    told, silent = run_distributed(caught, classify, tmp_path / "empty", tmp_path / "model", tmp_path / "out")

    assert "holds no images" in told
    assert silent == 2


def test_weights_that_cannot_be_had_are_told_by_one_process(labelled, tmp_path):
    told, silent = run_distributed(caught, train, labelled, tmp_path / "out", "--init", "imagenet")

    assert "arch tiny has no weights of ImageNet" in told
    assert silent == 2
    assert list(tmp_path.iterdir()) == []
