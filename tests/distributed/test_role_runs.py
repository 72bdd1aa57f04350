"""Runs that train a role: however a step is spread the losses are the same, and adapters go on from run to run."""

import signal
import time
from unittest import mock

import pytest
import torch
from helpers import (
    ProcessGroup,
    assert_same_weights,
    course,
    losses,
    rows,
    run_distributed,
    train,
    train_all,
    wait_for,
)
from safetensors import safe_open

from merv.conf.parse import parse
from merv.data.datasets import DatasetConfig
from merv.errors import MervError
from merv.runs.pretrain_config import PretrainConfig
from merv.training.trackers import JsonlTracker

STEPS = 3
SMALL = {
    "tiny.hidden_size": 32,
    "tiny.intermediate_size": 48,
    "tiny.num_heads": 2,
    "tiny.vision_dim": 16,
    "tiny.vision_depth": 1,
    "head.dims": 16,
    "head.num_heads": 2,
    "head.drop_path": 0.0,
    "max_frames": 8,
    "max_pixels": 784,
    "finetune.lora.rank": 4,
}
VARIANTS = {
    "ddp": {"train_strategy": "ddp"},
    "ddp-accumulating": {"train_strategy": "ddp", "per_device_batch_size": 1},
    "fsdp-full-shard": {"train_strategy": "fsdp-full-shard"},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Words that name a small drawing of the synthetic moments."""
    root = tmp_path_factory.mktemp("moments")
    DatasetConfig.new("synthetic-grounder", dataset_root_dir=root, num_clips=5, num_eval=1).make()
    return [
        *("--dataset.type", "synthetic-grounder", "--dataset.dataset_root_dir", str(root)),
        *("--dataset.num_clips", "5", "--dataset.num_eval", "1"),
    ]


def words(data, root, run_id, *more, role="grounder", stage="finetune", model=None, **options):
    """Command line of a run; `options` are those of the stage, `model` those of the model."""
    chosen = {"global_batch_size": 4, "per_device_batch_size": 2, "max_steps": STEPS, "train_strategy": "single"}
    said = {f"{stage.replace('-', '_')}.{name}": value for name, value in {**chosen, **options}.items()}
    said = {**SMALL, **(model or {}), **said}
    line = ["--model.type", f"role-tiny-{role}", *data, "--stage", stage, "--run_id", run_id]
    line += ["--run_root_dir", str(root), "--num_workers", "0", "--trackers", "[jsonl]"]
    line += ["--collective_timeout_s", "60", "--sampler", "length-grouped", *more]
    return line + [word for name, value in said.items() for word in (f"--model.{name}", str(value))]


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """Every variant's run folder."""
    root = tmp_path_factory.mktemp("runs")
    run_distributed(train_all, [words(data, root, name, **options) for name, options in VARIANTS.items()])
    train(words(data, root, "1x4", per_device_batch_size=4))
    train(words(data, root, "2x2"))
    train(words(data, root, "recomputing", model={"enable_gradient_checkpointing": True}))
    return root


def assert_close(run, reference):
    assert len(course(reference)) == STEPS
    torch.testing.assert_close(course(run), course(reference), rtol=1e-5, atol=1e-5)
    heads = [[row["head_loss"] for row in rows(folder)] for folder in (run, reference)]
    torch.testing.assert_close(*heads, rtol=1e-5, atol=1e-5)


@pytest.mark.dist
@pytest.mark.parametrize("name", ["2x2", "recomputing", *VARIANTS])
def test_losses_of_words_and_head_do_not_depend_on_how_a_step_is_spread(runs, name):
    assert_close(runs / name, runs / "1x4")


@pytest.mark.dist
def test_the_head_has_a_loss_of_its_own(runs):
    found = rows(runs / "1x4")

    assert all(0 < row["head_loss"] < row["loss"] for row in found)
    assert len(set(losses(runs / "1x4"))) == STEPS


@pytest.mark.dist
@pytest.mark.parametrize("name", ["1x4", "fsdp-full-shard"])
def test_a_run_on_a_base_that_anyone_can_draw_keeps_adapters_and_head_alone(runs, name):
    with safe_open(runs / name / "model.safetensors", framework="pt") as file:
        names = set(file.keys())

    assert names
    assert {key for key in names if not key.startswith("heads.grounder.")} == {
        key for key in names if ".grounder." in key and ("lora_" in key or "modules_to_save" in key)
    }
    assert sum("modules_to_save" in key for key in names) == 2
    assert not any(key.startswith("vision.") for key in names)


@pytest.mark.dist
def test_a_loaded_run_replies_as_the_one_that_trained(runs, data):
    import merv

    config = parse(PretrainConfig, words(data, runs, "1x4"))
    samples = [config.dataset.load("finetune")[row] for row in range(3)]
    one, other = (merv.load(runs / name, device="cpu") for name in ("1x4", "2x2"))
    before = config.model.build(seed=config.seed).eval()

    said, again = (model.ask([("grounder", sample) for sample in samples], max_new_tokens=4) for model in (one, other))

    assert one.roles == ("grounder", "answerer")
    assert [reply.text for reply in said] == [reply.text for reply in again]
    untrained = before.ask([("grounder", sample) for sample in samples], max_new_tokens=4)
    assert [reply.text for reply in said] != [reply.text for reply in untrained]


@pytest.mark.dist
def test_a_run_goes_on_training_the_adapter_of_another(runs, data, tmp_path):
    start = ("--pretrained_checkpoint", str(runs / "1x4"))

    train(words(data, tmp_path, "on", *start, learning_rate=0.0, max_steps=1))
    train(words(data, tmp_path, "farther", *start))

    assert_same_weights(tmp_path / "on", runs / "1x4")
    assert losses(tmp_path / "farther")[0] < losses(runs / "1x4")[0]
    with safe_open(tmp_path / "farther" / "model.safetensors", framework="pt") as file:
        assert any("lora_" in key for key in file.keys())  # noqa: SIM118 - not a dict
        assert not any(key.endswith("original_module.weight") for key in file.keys())  # noqa: SIM118


@pytest.mark.dist
def test_an_adapter_of_another_rank_is_refused_in_one_line(runs, data, tmp_path):
    command = words(data, tmp_path, "other", "--pretrained_checkpoint", str(runs / "1x4"))
    command[command.index("--model.finetune.lora.rank") + 1] = "8"

    with pytest.raises(
        MervError, match=r"lora.rank is 8, but the adapter of role grounder to start from has 4"
    ) as caught:
        train(command)

    assert "\n" not in str(caught.value)


def train_slowly(command):
    """Train with a pause after every step, so that a signal meets the run on its way."""
    log = JsonlTracker.log

    def log_and_rest(self, step, metrics):
        log(self, step, metrics)
        time.sleep(0.1)

    with mock.patch.object(JsonlTracker, "log", log_and_rest):
        return train(command)


@pytest.mark.dist
def test_a_killed_run_resumes_bit_for_bit(data, tmp_path):
    """With dropout in adapters and drop path in the head, so that random generators count."""
    options = {"max_steps": 7, "per_device_batch_size": 2}
    noisy = {"finetune.lora.dropout": 0.2, "head.drop_path": 0.3}
    command, whole = (
        words(data, tmp_path / name, "run", "--save_checkpoint_after", "2", model=noisy, **options)
        for name in ("broken", "whole")
    )
    run_distributed(train_all, [whole], world_size=1)

    with ProcessGroup(train_slowly, command, world_size=1) as group:
        assert wait_for(lambda: len(rows(tmp_path / "broken" / "run")) >= 3)
        group.send(signal.SIGKILL)
    assert 3 <= len(course(tmp_path / "broken" / "run")) < 7
    run_distributed(train_all, [command], world_size=1)

    assert course(tmp_path / "broken" / "run") == course(tmp_path / "whole" / "run")
    assert_same_weights(tmp_path / "broken" / "run", tmp_path / "whole" / "run")
