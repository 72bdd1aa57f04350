"""GRPO gives the same answers and losses however a step is spread, and goes on where it was broken off."""

import json
import signal

import pytest
import torch
from grpo_runs import grpo_words, how_it_ended, train_all_grpo, train_grpo, write_plugin
from helpers import ProcessGroup, assert_same_weights, course, rows, run_distributed, wait_for
from tiny_vlms import tiny_vlm

STEPS = 2
KEYS = ("loss", "grad_norm", "kl", "reward", "reward_std", "reward/variety", "completion_tokens", "truncated")
KEYS += ("groups_without_spread",)
VARIANTS = {
    "ddp": {"strategy": "ddp"},
    "ddp-accumulating": {"strategy": "ddp", "per_device_batch_size": 1},
    "fsdp-full-shard": {"strategy": "fsdp-full-shard"},
    "fsdp-shard-grad-op": {"strategy": "fsdp-shard-grad-op", "per_device_batch_size": 1},
    "fsdp-full-shard-offload": {"strategy": "fsdp-full-shard-offload"},
}
LORA = (
    "--model.finetune.lora.rank",
    "2",
    "--model.finetune.lora.dropout",
    "0",
    "--model.finetune.learning_rate",
    "1e-3",
)
ROLE = (*LORA, "--model.type", "role-tiny-answerer")
VLM = (*LORA, "--model.type", "hf-vlm")


def words(data, root, run_id, *more, stage="full-finetune", model=(), **options):
    sizes = {"global_batch_size": 4, "per_device_batch_size": 2, "max_steps": STEPS, **options}
    reward = f"{write_plugin(root)}:variety"
    made = grpo_words(data, root, run_id, reward, "--beta", "0.3", *more, stage=stage, **sizes)
    if model:  # frames of merv-tiny's encoders mean nothing to it
        made = [word for word in _without_encoders(made) if word not in ("--model.type", "merv-tiny")]
    return [*model, *made]


def _without_encoders(made):
    places = [place for place, word in enumerate(made) if word.startswith("--model.backbone_options")]
    return [word for place, word in enumerate(made) if place not in places and place - 1 not in places]


@pytest.fixture(scope="module")
def runs(mixed_data, apart_data, tmp_path_factory):
    """Every variant's run folder: those of two processes from one group of them, the others from this process."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("dapo", "role", "vlm", "apart"):
        (root / name).mkdir()
    models = {"role": ROLE, "vlm": (*VLM, "--model.path", str(tiny_vlm("qwen2.5-vl", root / "published")))}
    dapo = ("--loss_type", "dapo", "--scale_rewards", "batch", "--mask_truncated", "true")
    two = [words(mixed_data, root, name, **options) for name, options in VARIANTS.items()]
    two.append(words(mixed_data, root / "dapo", "ddp", *dapo, strategy="ddp"))
    two += [
        words(mixed_data, root / kind, name, stage="finetune", model=model, strategy=name)
        for kind, model in models.items()
        for name in ("ddp", "fsdp-full-shard")
    ]
    apart = {"stage": "finetune", "model": models["vlm"], "global_batch_size": 2}
    for name in ("ddp", "fsdp-full-shard"):
        two.append(words(apart_data, root / "apart", name, strategy=name, per_device_batch_size=1, **apart))
    run_distributed(train_all_grpo, two, timeout_s=200)
    train_grpo(words(apart_data, root / "apart", "one", **apart))
    train_grpo(words(mixed_data, root, "one", per_device_batch_size=4))
    train_grpo(words(mixed_data, root, "1x4", "--rollout_batch_size", "3", per_device_batch_size=1))
    train_grpo(words(mixed_data, root / "dapo", "one", *dapo, per_device_batch_size=1))
    for kind, model in models.items():
        train_grpo(words(mixed_data, root / kind, "one", stage="finetune", model=model, per_device_batch_size=4))
    return root


def numbers(run):
    return [[row[key] for key in KEYS] for row in rows(run)]


def answers(run):
    """What was said to each sample in each step, whichever process wrote it down."""
    files = sorted(run.glob("completions*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted((line["step"], line["id"], line["completion"], line["reward"]) for line in lines)


def assert_alike(run, reference):
    assert len(numbers(reference)) == STEPS
    assert answers(run) == answers(reference)
    torch.testing.assert_close(numbers(run), numbers(reference), rtol=1e-4, atol=1e-5)


@pytest.mark.dist
@pytest.mark.parametrize("name", ["1x4", *VARIANTS])
def test_losses_do_not_depend_on_how_a_step_is_spread(runs, name):
    assert_alike(runs / name, runs / "one")


@pytest.mark.dist
def test_nor_does_a_mean_over_tokens_or_a_spread_over_the_step(runs):
    assert_alike(runs / "dapo" / "ddp", runs / "dapo" / "one")


@pytest.mark.dist
@pytest.mark.parametrize("name", ["ddp", "fsdp-full-shard"])
@pytest.mark.parametrize("kind", ["role", "vlm", "apart"])
def test_nor_do_those_of_adapters(runs, kind, name):
    assert_alike(runs / kind / name, runs / kind / "one")


@pytest.mark.dist
def test_the_runs_tell_something_apart(runs):
    for run in (runs / "one", runs / "role" / "one", runs / "vlm" / "one"):
        found = rows(run)
        assert all(row["grad_norm"] > 1e-4 for row in found)
        assert found[0]["kl"] < 1e-6 < found[-1]["kl"]
        assert all(row["groups_without_spread"] < 1 for row in found)


@pytest.mark.dist
def test_a_killed_run_gives_the_same_answers_and_numbers_again(mixed_data, tmp_path):
    more = ("--save_checkpoint_after", "2", "--async_checkpoints", "false")
    command = words(mixed_data, tmp_path, "run", *more, strategy="ddp", max_steps=6)
    whole = words(mixed_data, tmp_path, "whole", *more, strategy="ddp", max_steps=6)
    run = tmp_path / "run"

    with ProcessGroup(train_grpo, command) as group:
        assert wait_for(lambda: len(rows(run)) >= 3)
        group.send(signal.SIGKILL)
    done = len(rows(run))
    run_distributed(train_all_grpo, [command])
    run_distributed(train_all_grpo, [whole])

    assert 3 <= done < 6
    assert course(run) == course(tmp_path / "whole")
    assert answers(run) == answers(tmp_path / "whole")
    assert_same_weights(run, tmp_path / "whole")


@pytest.mark.dist
def test_a_reward_that_fails_on_one_process_ends_all_with_its_line(mixed_data, tmp_path):
    reward = f"{write_plugin(tmp_path)}:fails_on_the_second"

    first, second = run_distributed(
        how_it_ended, grpo_words(mixed_data, tmp_path, "run", reward, strategy="ddp", per_device_batch_size=2)
    )

    assert first == "SystemExit: 2"
    assert second.startswith("RunStopped: reward `fails_on_the_second` raised OSError: no disk (")
