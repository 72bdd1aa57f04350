import pytest
import torch
from helpers import run_distributed

from merv.models.base import Output
from merv.training.looks import Looks
from merv.training.loop import train
from merv.training.world import join_world

from .toy import ToyLM, make_batch, make_job


class LoggingLM(ToyLM):
    """Logs the sum of its target tokens' ids."""

    def forward(self, batch):
        output = super().forward(batch)
        ids = batch.input_ids.flatten()[batch.targets].double().sum()
        return Output(output.loss_sum, output.num_tokens, logged={"mean_id": ids})


def with_facts(sampler, world, micro):
    """Micro-batches that bring the number of each row; `odd` is about odd rows alone."""
    for rows in sampler.upcoming(world.rank, world.size, micro, epochs=9):
        batch = make_batch(rows)
        odd = [row for row in rows if row % 2]
        batch.facts = {"number": (sum(rows), len(rows)), "odd": (sum(odd), len(odd)), "nothing": (0.0, 0.0)}
        yield batch


def looked(folder, micro=4, strategy="single"):
    with join_world() as world:
        job = make_job(folder, world, micro=micro, model=LoggingLM(), strategy=strategy, num_steps=3)
        job.batches = with_facts(job.sampler, world, micro)
        plan = [job.sampler.global_batches(0)[step] for step in range(3)]
        train(job)
        return plan, [
            {name: row.get(name) for name in ("mean_id", "number", "odd", "nothing")} for row in job.tracker.rows
        ]


def expected(plan):
    found = []
    for rows in plan:
        batch, odd = make_batch(rows), [row for row in rows if row % 2]
        ids = batch.input_ids.flatten()[batch.targets].double().mean()
        mean_odd = sum(odd) / len(odd) if odd else None
        found.append({"mean_id": float(ids), "number": sum(rows) / len(rows), "odd": mean_odd, "nothing": None})
    return found


@pytest.mark.parametrize("micro", [4, 1])
def test_means_are_over_the_whole_step_and_what_nobody_counted_is_left_out(tmp_path, micro):
    plan, rows = looked(tmp_path, micro)

    assert rows == [pytest.approx(row) for row in expected(plan)]


@pytest.mark.dist
def test_two_processes_log_the_same_means(tmp_path):
    for plan, rows in run_distributed(looked, tmp_path, 2, "ddp"):
        assert rows == [pytest.approx(row) for row in expected(plan)]


def test_a_step_without_looks_adds_nothing():
    looks = Looks([make_batch([1])])

    looks.add(None)

    assert looks.sums == []
    assert looks.means([], 3.0) == {}
    assert Looks([]).means([], torch.tensor(0.0)) == {}
