"""The same batches give the same losses however they are spread over processes and micro-batches."""

import math
from unittest import mock

import pytest
import torch
from helpers import course, losses, run_distributed, run_words, train, train_all

from merv.conf.parse import parse
from merv.runs.assemble import build_sampler
from merv.runs.pretrain_config import PretrainConfig
from merv.training.strategies import StrategyConfig
from merv.training.strategies.base import Precision

STEPS = 4
VARIANTS = {
    "ddp": {"strategy": "ddp"},
    "ddp-accumulating": {"strategy": "ddp", "per_device_batch_size": 2},
    "fsdp-full-shard": {"strategy": "fsdp-full-shard"},
    "fsdp-accumulating": {"strategy": "fsdp-full-shard", "per_device_batch_size": 1},
    "fsdp-shard-grad-op": {"strategy": "fsdp-shard-grad-op"},
    "fsdp-full-shard-offload": {"strategy": "fsdp-full-shard-offload"},
    "hsdp": {"strategy": "hsdp"},
}


def words(data, root, run_id, *more, stage="full-finetune", **options):
    sizes = {"global_batch_size": 8, "per_device_batch_size": 4, "max_steps": STEPS, **options}
    return run_words(data, root, run_id, "--sampler", "length-grouped", *more, stage=stage, **sizes)


@pytest.fixture(scope="module")
def runs(mixed_data, apart_data, tmp_path_factory):
    """Every variant's run folder: those of two processes from one group of them, the others from this process."""
    root = tmp_path_factory.mktemp("runs")
    two = [words(mixed_data, root, name, **options) for name, options in VARIANTS.items()]
    apart = {"global_batch_size": 2, "per_device_batch_size": 1}
    two += [words(apart_data, root, f"apart-{name}", **apart, strategy=name) for name in ("ddp", "fsdp-full-shard")]
    frozen = root / "frozen"  # a folder of their own: a full-finetune run would start from a finetune run beside it
    for name in ("ddp", "fsdp-full-shard"):  # the second epoch begins within the steps: some features are known then
        cache = ("--feature_cache", str(frozen / f"cache-{name}"))
        two.append(words(mixed_data, frozen, f"cached-{name}", *cache, stage="finetune", strategy=name))
        two.append(words(apart_data, frozen, f"cached-apart-{name}", *cache, stage="finetune", strategy=name, **apart))
    run_distributed(train_all, two, timeout_s=200)
    train(words(mixed_data, frozen, "one", stage="finetune", per_device_batch_size=8))
    train(words(apart_data, frozen, "one-apart", stage="finetune", **{**apart, "per_device_batch_size": 2}))
    train(words(mixed_data, root, "one", per_device_batch_size=8))
    train(words(mixed_data, root, "4x2"))
    train(words(mixed_data, root, "1x8", per_device_batch_size=1))
    train(words(mixed_data, root, "recomputing", "--model.enable_gradient_checkpointing", "true"))
    train(words(apart_data, root, "apart-one", **{**apart, "per_device_batch_size": 2}))
    return root


def assert_close(run, reference):
    """Equal within 1e-5, of the value where it is large: gradient norms are about 20."""
    assert len(course(reference)) == STEPS
    torch.testing.assert_close(course(run), course(reference), rtol=1e-5, atol=1e-5)


def test_every_strategy_is_compared():
    assert {options["strategy"] for options in VARIANTS.values()} | {"single"} == set(StrategyConfig.available())


@pytest.mark.dist
@pytest.mark.parametrize("name", ["4x2", "1x8", "recomputing", *VARIANTS])
def test_losses_do_not_depend_on_how_a_step_is_spread(runs, name):
    assert_close(runs / name, runs / "one")


def test_of_every_batch_one_process_draws_a_text_and_the_other_a_clip(apart_data, tmp_path):
    config = parse(PretrainConfig, words(apart_data, tmp_path, "a", global_batch_size=2, per_device_batch_size=1))
    source = config.dataset.load(config.stage)
    sampler = build_sampler(config, source, config.model.build(seed=0))

    drawn = [
        [source[row].has_visual for [row] in sampler.upcoming(rank, world_size=2, per_device_batch_size=1, epochs=1)]
        for rank in (0, 1)
    ]

    assert drawn == [[False] * 8, [True] * 8]


@pytest.mark.dist
@pytest.mark.parametrize("name", ["apart-ddp", "apart-fsdp-full-shard"])
def test_losses_are_equal_when_one_process_sees_text_alone_and_the_other_clips(runs, name):
    assert_close(runs / name, runs / "apart-one")


@pytest.mark.dist
@pytest.mark.parametrize("strategy", ["ddp", "fsdp-full-shard"])
@pytest.mark.parametrize("data", ["", "-apart"])
def test_a_feature_cache_that_several_processes_fill_changes_no_loss(runs, strategy, data):
    frozen = runs / "frozen"

    assert_close(frozen / f"cached{data}-{strategy}", frozen / f"one{data}")
    assert list((frozen / f"cache-{strategy}").rglob("*.safetensors"))
    assert not list((frozen / f"cache-{strategy}").rglob("*.partial"))


def train_in_bfloat16(command):
    """Train with the precision an accelerator would have chosen."""
    chosen = Precision(torch.bfloat16, torch.float32)
    with mock.patch("merv.runs.assemble.precision", return_value=chosen):
        return train(command)


@pytest.mark.dist
def test_fsdp_computes_in_bfloat16_and_keeps_float32_parameters(runs, mixed_data):
    command = words(mixed_data, runs, "bfloat16", strategy="fsdp-full-shard")

    run_distributed(train_in_bfloat16, command)

    found, exact = losses(runs / "bfloat16"), losses(runs / "one")
    assert all(math.isfinite(loss) for loss in found)
    assert found != exact
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0)  # bfloat16 has 8 bits of fraction
