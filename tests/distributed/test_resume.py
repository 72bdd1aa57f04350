"""A run that is killed or asked to stop goes on with the same command as if nothing had happened."""

import random
import signal
import time
from unittest import mock

import pytest
import torch
from helpers import (
    ProcessGroup,
    assert_same_weights,
    course,
    rows,
    run_distributed,
    run_words,
    train,
    train_all,
    wait_for,
)

from merv.training.checkpoint import latest_checkpoint, read_trainer_state
from merv.training.trackers import JsonlTracker

STEPS = 10  # an epoch of the 24 rows has 6
LORA = {"lora.rank": 4, "lora.dropout": 0.2}


def words(data, root, run_id, world_size, **options):
    strategy = "fsdp-full-shard" if world_size == 2 else "single"
    chosen = {"strategy": strategy, "per_device_batch_size": 2, "max_steps": STEPS, **options}
    more = ["--save_checkpoint_after", "2", "--sampler", "length-grouped"]
    return run_words(data, root, run_id, *more, stage="finetune", **chosen)


@pytest.fixture(scope="module")
def unbroken(mixed_data, tmp_path_factory):
    """Runs nothing disturbed: with adapters and dropout on one and two processes, and with neither on two."""
    root = tmp_path_factory.mktemp("unbroken")
    run_distributed(train_all, [words(mixed_data, root, "1", 1, **LORA)], world_size=1)
    two = [words(mixed_data, root, "2", 2, **LORA), words(mixed_data, root, "plain", 2)]
    run_distributed(train_all, two)
    return root


def train_slowly(command):
    """Train with a pause after every step, so that a signal meets the run on its way."""
    log = JsonlTracker.log

    def log_and_rest(self, step, metrics):
        log(self, step, metrics)
        time.sleep(0.1)

    with mock.patch.object(JsonlTracker, "log", log_and_rest):
        return train(command)


def break_off(command, run_dir, number, world_size, *ranks, at):
    """Start a run and send it a signal once it has done `at` steps; its results, or None when it was killed."""
    with ProcessGroup(train_slowly, command, world_size=world_size) as group:
        assert wait_for(lambda: len(rows(run_dir)) >= at)
        group.send(number, *ranks)
        return None if number == signal.SIGKILL else group.results()


@pytest.mark.dist
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_killed_run_resumes_bit_for_bit(unbroken, mixed_data, tmp_path, world_size):
    at = random.randint(3, STEPS - 4)
    command, run = words(mixed_data, tmp_path, "run", world_size, **LORA), tmp_path / "run"

    break_off(command, run, signal.SIGKILL, world_size, at=at)
    before = course(run)
    run_distributed(train_all, [command], world_size=world_size)

    whole = unbroken / str(world_size)
    assert at <= len(before) < STEPS
    assert course(run) == course(whole), f"killed after step {at}"
    assert [row["step"] for row in rows(run)] == list(range(1, STEPS + 1))
    assert_same_weights(run, whole)


@pytest.mark.dist
def test_a_run_of_two_processes_resumes_on_one(unbroken, mixed_data, tmp_path):
    at = random.randint(3, STEPS - 4)
    command, run = words(mixed_data, tmp_path, "run", 2), tmp_path / "run"

    break_off(command, run, signal.SIGKILL, 2, at=at)
    kept = read_trainer_state(latest_checkpoint(run / "checkpoints"))
    run_distributed(train_all, [words(mixed_data, tmp_path, "run", 1)], world_size=1)

    found, expected = course(run), course(unbroken / "plain")
    assert found[: kept["step"]] == expected[: kept["step"]]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.dist
@pytest.mark.parametrize(("world_size", "ranks"), [(1, (0,)), (2, (1,))])
def test_sigterm_to_a_process_saves_and_ends_well(unbroken, mixed_data, tmp_path, world_size, ranks):
    command, run = words(mixed_data, tmp_path, "run", world_size, **LORA), tmp_path / "run"

    statuses = break_off(command, run, signal.SIGTERM, world_size, *ranks, at=3)
    done = len(rows(run))
    assert statuses == [0] * world_size
    assert 3 <= done < STEPS
    assert (run / "checkpoints/latest").read_text() == f"step-{done:06d}"
    assert not (run / "model.safetensors").exists()

    run_distributed(train_all, [command], world_size=world_size)
    assert course(run) == course(unbroken / str(world_size))
    assert_same_weights(run, unbroken / str(world_size))
