import json
import math
import os
import signal
from collections.abc import Iterator

import pytest
import torch

from merv.errors import RunStopped
from merv.models.base import Output
from merv.training.loop import train
from merv.training.optim import learning_rate
from merv.training.signals import StopRequest
from merv.training.world import World, join_world

from .toy import ToyLM, make_batch, make_job


@pytest.fixture
def world() -> Iterator[World]:
    with join_world() as joined:
        yield joined


def losses(job):
    return [row["loss"] for row in job.tracker.rows]


def test_every_step_has_a_row_with_the_rate_it_used(tmp_path, world):
    job = make_job(tmp_path, world)

    assert train(job) == 6

    rows = job.tracker.rows
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["lr"] for row in rows] == [learning_rate(step, 6, job.stage) for step in range(6)]
    assert losses(job)[-1] < losses(job)[0]
    assert {"grad_norm", "samples_per_second", "data_wait", "bad_samples", "peak_memory_gib"} <= rows[0].keys()


def test_the_loss_is_the_mean_over_the_target_tokens_of_the_whole_step(tmp_path, world):
    job = make_job(tmp_path, world, micro=1, num_steps=1)
    rows = job.sampler.global_batches(0)[0]
    output = ToyLM()(make_batch(rows))

    train(job)

    assert len({row % 3 for row in rows}) > 1, "micro-batches of different weight"
    assert losses(job)[0] == pytest.approx(float(output.loss_sum.detach() / output.num_tokens), rel=1e-6)


@pytest.mark.parametrize("micro", [2, 1])
def test_accumulation_does_not_change_the_course(tmp_path, world, micro):
    at_once, in_parts = make_job(tmp_path / "a", world), make_job(tmp_path / "b", world, micro=micro)

    train(at_once)
    train(in_parts)

    torch.testing.assert_close(losses(in_parts), losses(at_once), rtol=1e-5, atol=0)


def test_checkpoints_come_every_so_often_and_at_the_end(tmp_path, world):
    seen = []
    job = make_job(tmp_path, world, then=lambda step: seen.append(job.sampler.state_dict()["next_batch"]))

    train(job)

    folders = sorted((tmp_path / "checkpoints").glob("step-*"))
    states = [json.loads((folder / "trainer_state.json").read_text()) for folder in folders]
    assert [(state["step"], state["sampler"]["next_batch"]) for state in states] == [(4, 4), (6, 0)]
    assert states[1]["sampler"]["epoch"] == 1
    assert seen == [1, 2, 3, 4, 5, 0]


def stop_at(job, step):
    """Ask the job to stop once it has logged a step."""
    job.tracker.then = lambda done: done == step and os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_saves_after_the_step_and_a_later_run_goes_on_as_if_nothing_had_happened(tmp_path, world):
    whole = make_job(tmp_path / "whole", world)
    train(whole)

    with StopRequest() as stop:
        cut = make_job(tmp_path / "cut", world, stop)
        stop_at(cut, 2)
        done = train(cut)
    rest = make_job(tmp_path / "cut", world)
    state = rest.checkpointer.load(rest.checkpointer.latest(), rest.model, rest.optimizer)
    rest.sampler.load_state_dict(state["sampler"])
    rest.first_step = state["step"]

    assert done == state["step"] == 3  # the signal came after the second step, and the third noticed
    train(rest)
    assert losses(cut) + losses(rest) == losses(whole)


class NotFinite(ToyLM):
    """Gives NaN for batches with a certain row."""

    def __init__(self, row: int) -> None:
        super().__init__()
        self.row = row

    def forward(self, batch):
        output = super().forward(batch)
        return Output(output.loss_sum * (math.nan if self.row in batch.indices else 1), output.num_tokens)


def test_a_loss_that_is_not_finite_stops_before_any_parameter_moves(tmp_path, world):
    row = make_job(tmp_path / "other", world).sampler.global_batches(0)[2][0]
    job = make_job(tmp_path, world, micro=2, model=NotFinite(row))
    kept = []
    job.tracker.then = lambda _: kept.append([p.detach().clone() for p in job.model.parameters()])

    with pytest.raises(RunStopped, match=r"step 2: loss nan.*not_finite-00000\.json.*resume") as caught:
        train(job)

    assert "\n" not in str(caught.value)
    assert all(torch.equal(before, now) for before, now in zip(kept[1], job.model.parameters(), strict=True))
    record = json.loads((tmp_path / "not_finite-00000.json").read_text())
    assert record["step"] == 2
    ids = [name for batch in record["batches"] for name in batch["sample_ids"]]
    assert ids == [f"row-{n}" for n in job.sampler.global_batches(0)[2]]
    assert [n for batch in record["batches"] for n in batch["rows"]] == job.sampler.global_batches(0)[2]


def test_a_step_without_target_tokens_changes_the_loss_to_zero_and_nothing_breaks(tmp_path, world):
    batch = make_batch(range(4))
    batch.labels[:] = -100
    job = make_job(tmp_path, world, num_steps=1, batches=iter([batch]), stage={"weight_decay": 0.0})
    before = [p.detach().clone() for p in job.model.parameters()]

    train(job)

    assert losses(job) == [0.0]
    assert all(torch.equal(old, new) for old, new in zip(before, job.model.parameters(), strict=True))


@pytest.mark.parametrize("limit", [0.01, 0.0])
def test_gradients_are_scaled_to_the_limit_and_0_leaves_them_alone(tmp_path, world, limit):
    job = make_job(tmp_path, world)
    job.strategy.backward(job.strategy.forward(job.model, make_batch(range(4))), step_tokens=torch.tensor(8.0))
    parameters = list(job.model.parameters())

    norm = float(job.strategy.clip(parameters, limit))

    after = float(torch.nn.utils.get_total_norm([p.grad for p in parameters]))
    assert norm > 0.1
    assert after == pytest.approx(limit or norm, rel=1e-3)
