"""What a head learns is a mean over the rows of the whole step, wherever they are; rows without it do not count."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import run_distributed
from models.qwen2_vl.role_rows import WORDS, draw_clips, grounding, role_config, sample, stir
from torch import nn

from merv.models.base import Output
from merv.models.freeze import set_stage
from merv.models.stage import StageConfig
from merv.training.loop import train_step
from merv.training.strategies import StrategyConfig
from merv.training.strategies.base import Precision
from merv.training.world import join_world
from merv.video.media import MediaRef

from .toy import ToyLM, make_batch, make_job

STEPS = ["mmmt", "mmtt", "ttmt", "tttt"]
"""Four rows a step: m has moments, t, a text, has none; of two processes both, one, the other and none have some."""


class RowToyLM(ToyLM):
    """Learns one more thing from some rows: to make the mean of its head zero."""

    def forward(self, batch):
        loss_sum, num_tokens, *_ = super().forward(batch)
        return Output(loss_sum, num_tokens, batch.num_target_rows() * self.head.weight.square().mean())


def counted(rows, number):
    batch = make_batch(rows)
    batch.num_target_rows = lambda: number
    return batch


def losses_of(folder: Path, strategy: str, micro: int) -> list[tuple[float, float, float]]:
    """Loss, loss of the head and norm of each step of a tiny grounder; for `run_distributed`."""
    torch.set_num_threads(1)
    clips = {path.name: MediaRef(path) for path in (folder / "clips").iterdir() if path.is_dir()}
    model = role_config("grounder").build()
    set_stage(model, "finetune", StageConfig(lora=WORDS))
    stir(model.llm, of="lora_")
    stir(model.heads, 3)
    examples = list(_rows(model.processor, clips))
    found = []
    with join_world() as world:
        job = make_job(folder / f"{strategy}-{micro}", world, strategy=strategy, model=model, micro=micro)
        job.stage.learning_rate = 1e-3
        for step, kinds in enumerate(STEPS):
            own = [examples[step % 2 + (0 if kind == "m" else 2)][place] for place, kind in enumerate(kinds)]
            share = own[world.rank * 4 // world.size :][: 4 // world.size]
            parts = [share[start : start + micro] for start in range(0, len(share), micro)]
            row, _ = train_step(job, step, [model.processor.collate(part) for part in parts])
            found.append((row["loss"], row.get("head_loss", 0.0), row["grad_norm"]))
    return found


def _rows(processor, clips):
    """Two lists of four rows with moments, then two of rows without, of different lengths."""
    for windows in (((0.2, 0.9),), ((0.1, 0.4), (0.6, 0.9))):
        rows = [
            grounding(clips[name], *windows, query="a " * n)
            for n, name in enumerate(("wide", "tall", "short", "long"), 1)
        ]
        yield [processor.prepare(row) for row in rows]
    planner = processor.for_role("planner")
    for question in ("Is it?", "What is seen first, and what is seen then?"):
        made = [planner.prepare(sample(question=question * n, plan=[])) for n in (1, 2, 3, 4)]
        yield [replace(example, role="grounder") for example in made]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("rows")
    (root / "clips").mkdir()
    draw_clips(root / "clips")
    return root


@pytest.fixture(scope="module")
def whole(folder):
    return losses_of(folder, "single", 4)


def test_steps_with_moments_have_a_loss_of_the_head_and_others_none(whole):
    assert [head > 0 for _, head, _ in whole] == [True, True, True, False]


@pytest.mark.parametrize("micro", [1, 2])
def test_micro_batches_with_and_without_moments_make_the_same_step(folder, whole, micro):
    torch.testing.assert_close(losses_of(folder, "single", micro), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.dist
@pytest.mark.parametrize(("strategy", "micro"), [("ddp", 2), ("ddp", 1), ("fsdp-full-shard", 2)])
def test_processes_with_and_without_moments_make_the_same_step(folder, whole, strategy, micro):
    for found in run_distributed(losses_of, folder, strategy, micro):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-4)


@pytest.fixture
def world():
    with join_world() as joined:
        yield joined


def gradient(world, *, size=1, tokens=10.0, rows=None, number=2):
    """Of the toy's head; `size` processes would average it."""
    strategy = StrategyConfig.get("single")().build(world, Precision())
    model: nn.Module = strategy.prepare(RowToyLM())
    strategy.world = replace(world, size=size)
    output = strategy.forward(model, counted(range(4), number))
    strategy.backward(output, torch.tensor(tokens), None if rows is None else torch.tensor(rows))
    return model.head.weight.grad, model


def test_the_sum_over_rows_is_divided_by_the_rows_of_the_step(world):
    without, model = gradient(world)

    with_rows, _ = gradient(world, rows=8.0)

    expected = 2 / 8 * 2 * model.head.weight / model.head.weight.numel()
    torch.testing.assert_close(with_rows - without, expected.detach(), rtol=1e-4, atol=1e-6)


def test_processes_average_gradients_so_each_takes_its_share_times_their_number(world):
    one, _ = gradient(world, rows=8.0)

    each, _ = gradient(world, size=3, rows=8.0)

    torch.testing.assert_close(each, 3 * one)


def test_a_step_without_rows_divides_by_nothing(world):
    none, _ = gradient(world, rows=0.0, number=0)

    without, _ = gradient(world)

    torch.testing.assert_close(none, without)


def test_a_batch_of_another_family_has_no_rows_and_its_step_no_loss_of_a_head(world, tmp_path):
    row, _ = train_step(make_job(tmp_path, world), 0, [make_batch(range(4))])

    assert make_batch(range(4)).num_target_rows() == 0
    assert "head_loss" not in row
