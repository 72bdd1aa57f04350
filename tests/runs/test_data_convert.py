"""`merv data convert`: what it writes is trained on as the dataset itself is, and what is wrong is one line."""

import dataclasses
import json
import shutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from data.shards.making import load
from helpers import losses, run_words, train
from models.rows import tiny_model

from merv.conf.parse import parse
from merv.data.conversation_datasets import MessagesConfig
from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError
from merv.models.multi_encoder.feature_cache import FeatureCache
from merv.runs.cli import main
from merv.runs.data_convert import DataConvertConfig, named
from merv.training.trackers import JsonlTracker


def words(data):
    """The options of a dataset but for its type."""
    return [word for word in data if word not in ("--dataset.type", "synthetic")]


def convert(data, out, to, *more):
    return main(["data", "convert", "synthetic", "--to", to, "--out", str(out), *words(data), *more])


@pytest.fixture(scope="module")
def original(synthetic_data):
    return DatasetConfig.new("synthetic", dataset_root_dir=synthetic_data[3], num_train=40, num_eval=4).load(
        "finetune"
    )


@pytest.fixture(scope="module")
def made(synthetic_data, tmp_path_factory):
    """Shards and messages of the synthetic dataset."""
    root = tmp_path_factory.mktemp("made")
    assert convert(synthetic_data, root / "shards", "webdataset", "--shard_mb", "0.1") == 0
    assert convert(synthetic_data, root / "rows", "messages") == 0
    return root


def of_shards(made):
    return ["--dataset.type", "webdataset", "--dataset.shards", str(made / "shards")]


def test_examples_of_shards_are_those_of_the_dataset(made, original, tmp_path):
    processor = tiny_model().processor
    source = load(made / "shards", tmp_path / "cache")

    assert len(source) == len(original) == 40
    for sample, row in zip(source, original.samples, strict=True):
        found, expected = processor.prepare(sample), processor.prepare(row)
        assert found.sample_id == expected.sample_id
        assert torch.equal(found.input_ids, expected.input_ids)
        assert torch.equal(found.labels, expected.labels)
        assert found.frames.keys() == expected.frames.keys()
        assert all(torch.equal(found.frames[name], expected.frames[name]) for name in expected.frames)


def test_samples_of_messages_are_those_of_the_dataset(made, original, synthetic_data):
    media = original.files[0].parent

    read = MessagesConfig(annotations=made / "rows" / "messages.jsonl", media_root=media).load("finetune")

    assert list(read) == list(original.samples)


def test_training_on_shards_gives_the_losses_of_the_dataset(made, synthetic_data, tmp_path):
    cache = ["--dataset.cache_dir", str(tmp_path / "cache")]
    train(run_words(synthetic_data, tmp_path, "own", stage="finetune", max_steps=3))
    train(run_words([*of_shards(made), *cache], tmp_path, "shards", stage="finetune", max_steps=3))

    assert losses(tmp_path / "shards") == losses(tmp_path / "own")
    assert len(losses(tmp_path / "own")) == 3
    lineage = json.loads((tmp_path / "shards" / "lineage.json").read_text())
    assert [Path(name).name for name in lineage["data"]] == [f"00000{number}.index.jsonl" for number in range(3)]


def test_a_run_on_shards_that_breaks_off_goes_on_as_if_nothing_had_happened(made, tmp_path):
    data, log = [*of_shards(made), "--dataset.cache_dir", str(tmp_path / "cache")], JsonlTracker.log
    more = ["--save_checkpoint_after", "2", "--sampler", "length-grouped"]
    train(run_words(data, tmp_path, "whole", *more, stage="finetune", max_steps=5))
    command = run_words(data, tmp_path, "run", *more, stage="finetune", max_steps=5)

    def break_off(self, step, metrics):
        assert step < 4, "power cut"
        log(self, step, metrics)

    with mock.patch.object(JsonlTracker, "log", break_off), pytest.raises(AssertionError, match="power cut"):
        train(command)
    train(command)

    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_features_of_two_clips_of_one_shard_are_told_apart(made, tmp_path):
    cache = FeatureCache(tmp_path, ("a",))
    source = load(made / "shards", tmp_path / "cache")
    refs = [ref for sample in source for ref in sample.media]
    moved = [dataclasses.replace(ref, path=tmp_path / "moved.tar") for ref in refs]

    assert len({cache.clip(ref) for ref in refs}) == len(refs)
    assert [cache.clip(ref) for ref in moved] == [cache.clip(ref) for ref in refs]
    plain = [dataclasses.replace(ref, within=dataclasses.replace(ref.within, digest="")) for ref in refs]
    assert len({cache.clip(ref) for ref in plain} | {cache.clip(ref) for ref in refs}) == 2 * len(refs)


def test_the_command_tells_how_to_read_what_it_wrote(synthetic_data, tmp_path, capsys):
    assert convert(synthetic_data, tmp_path / "rows", "messages", "--limit", "5") == 0
    told = capsys.readouterr().out.splitlines()

    assert told[0] == f"{tmp_path}/rows holds 5 rows"
    options = told[1].removeprefix("train on it: ").split()
    train(run_words(options, tmp_path, "run", stage="finetune", max_steps=1))
    assert len(losses(tmp_path / "run")) == 1


def test_free_words_stand_before_or_between_options():
    tail = ["--to", "messages", "--out", "a"]

    assert named(["convert", "synthetic", *tail]) == ["--dataset.type=synthetic", *tail]
    assert named(["convert", *tail[:2], "synthetic", "--overwrite", *tail[2:]])[0] == "--dataset.type=synthetic"
    assert "--overwrite=true" in named(["convert", *tail, "--overwrite", "synthetic"])
    assert named(["convert", "--dataset.type", "star", *tail]) == ["--dataset.type", "star", *tail]
    assert named(["convert", "--help"]) == ["--help"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["convert"], r"which dataset\? merv data convert NAME"),
        (["convert", "synthetic", "more"], "`more` is no option: merv data convert NAME"),
    ],
)
def test_words_that_say_too_little_or_too_much_are_one_line(given, line):
    with pytest.raises(ConfigError, match=line):
        named(given)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"out": "rows.jsonl"}, "out rows.jsonl is to be a folder, messages.jsonl will be in it; write --out rows"),
        ({"limit": "0"}, "limit is 0; give at least 1 row"),
        ({"shard_mb": "0"}, "shard_mb is 0; give megabytes above 0"),
        ({"to": "webdataset", "on_missing": "keep"}, "on_missing keep: shards hold the media"),
        ({"to": "webdataset", "media_root": "data"}, "media_root data is for messages"),
        ({"to": "tfrecords"}, "messages.*webdataset"),
    ],
)
def test_options_that_cannot_work_are_one_line(changes, line):
    options = {"to": "messages", "out": "rows", **changes}

    with pytest.raises(ConfigError, match=line):
        parse(DataConvertConfig, [f"--{name}={value}" for name, value in options.items()])


def refused(capsys, data, out, *more, to="webdataset"):
    """The line of a command that fails."""
    assert convert(data, out, to, *more) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    return line


def test_what_is_there_is_not_written_over(synthetic_data, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()

    assert f"{out} is there already; name another --out, or add --overwrite" in refused(capsys, synthetic_data, out)
    assert convert(synthetic_data, out, "webdataset", "--overwrite", "--limit", "3") == 0
    assert sorted(path.name for path in out.iterdir()) == ["000000.index.jsonl", "000000.tar", "index.json"]


def test_the_folder_of_the_media_is_never_replaced(tmp_path, capsys):
    data = ["--dataset.type", "synthetic", "--dataset.dataset_root_dir", str(tmp_path), "--dataset.num_train", "8"]
    assert convert([*data, "--dataset.num_eval", "1"], tmp_path / "out", "messages") == 0
    media = tmp_path / "download"

    line = refused(capsys, [*data, "--dataset.num_eval", "1"], media, "--overwrite")

    assert "of which it would be made; name another --out" in line
    assert list((media / "synthetic" / "videos").iterdir())


def test_missing_media_and_full_disks_are_one_line_and_leave_nothing(synthetic_data, tmp_path, capsys, monkeypatch):
    root = tmp_path / "data"
    shutil.copytree(synthetic_data[3], root)
    data = [str(root) if word == synthetic_data[3] else word for word in synthetic_data]
    gone = sorted((root / "download" / "synthetic" / "videos").glob("train-*"))[3]
    gone.unlink()
    monkeypatch.setattr("merv.data.datasets.SyntheticConfig.make", lambda self: None)

    line = refused(capsys, data, tmp_path / "out")
    assert f"`{gone}` does not exist" in line
    assert "leave such rows out with --on_missing skip" in line
    assert not (tmp_path / "out").exists()
    assert convert(data, tmp_path / "out", "webdataset", "--on_missing", "skip") == 0
    assert "39 rows; left out: 1 missing media (left_out.jsonl), the first: synthetic row" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 100))
    assert "GB free; name an --out on a larger disk" in refused(capsys, data, tmp_path / "b", "--on_missing", "skip")
    assert not list(tmp_path.glob("b*"))
