"""A model of one layer that goes through the loop like a large one, and batches for it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from merv.data.ledger import BadSampleLedger
from merv.data.sample import IGNORE_INDEX, Batch
from merv.data.sampling import LengthGroupedSampler
from merv.models.base import Output, VideoLM
from merv.models.stage import StageConfig
from merv.training.checkpoint import Checkpointer
from merv.training.loop import Job
from merv.training.metrics import StepMetrics
from merv.training.optim import build_optimizer
from merv.training.signals import StopRequest
from merv.training.strategies.base import Precision, StrategyConfig
from merv.training.trackers import Tracker
from merv.training.watchdog import Watchdog
from merv.training.world import World

VOCABULARY = 11


class ToyLM(VideoLM):
    """Guesses each token from the one before."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.table = nn.Embedding(VOCABULARY, 6)
        self.head = nn.Linear(6, VOCABULARY)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)

    def parts(self) -> dict[str, nn.Module]:
        return {"llm": self}

    def blocks(self) -> list[nn.Module]:
        return [self.head]

    def forward(self, batch: Batch) -> Output:
        targets = batch.labels[:, 1:]
        learned = targets != IGNORE_INDEX
        logits = self.head(self.table(batch.input_ids[:, :-1][learned]))
        return Output(nn.functional.cross_entropy(logits, targets[learned], reduction="sum"), learned.sum())

    def respond(self, batch: Batch, **options: Any) -> list[str]:
        raise NotImplementedError


def make_batch(rows: Iterable[int], width: int = 5) -> Batch:
    """Row n has n % 3 + 1 target tokens, so that micro-batches differ in weight."""
    numbers = list(rows)
    generator = torch.Generator()
    ids = torch.stack([torch.randint(VOCABULARY, (width,), generator=generator.manual_seed(n)) for n in numbers])
    labels = torch.full_like(ids, IGNORE_INDEX)
    for place, number in enumerate(numbers):
        labels[place, -(number % 3 + 1) :] = ids[place, -(number % 3 + 1) :]
    return Batch(
        input_ids=ids,
        labels=labels,
        attention_mask=torch.ones_like(ids, dtype=torch.bool),
        visual_rows=torch.tensor([], dtype=torch.int64),
        sample_ids=tuple(f"row-{number}" for number in numbers),
        indices=tuple(numbers),
    )


class ListTracker(Tracker):
    """Keeps rows, and calls back."""

    def __init__(self, then: Callable[[int], None] = lambda step: None) -> None:
        self.rows: list[dict[str, float]] = []
        self.then = then

    def log(self, step: int, metrics: Any) -> None:
        self.rows.append({"step": step, **metrics})
        self.then(step)


def make_job(
    folder: Path,
    world: World,
    stop: StopRequest | None = None,
    *,
    micro: int = 4,
    strategy: str = "single",
    model: VideoLM | None = None,
    then: Callable[[int], None] = lambda step: None,
    **options: Any,
) -> Job:
    """A job of six steps of four rows."""
    stage = StageConfig(
        global_batch_size=4, per_device_batch_size=micro, learning_rate=0.1, **options.pop("stage", {})
    )
    spread = StrategyConfig.get(strategy)().build(world, Precision())
    wrapped = spread.prepare(model or ToyLM())
    sampler = LengthGroupedSampler([1] * 24, 4)
    device = torch.device("cpu")
    return Job(
        **{
            "model": wrapped,
            "strategy": spread,
            "optimizer": build_optimizer(wrapped.named_parameters(), stage),
            "stage": stage,
            "batches": batches(sampler, world, micro),
            "sampler": sampler,
            "ledger": BadSampleLedger(),
            "checkpointer": Checkpointer(folder / "checkpoints", world),
            "tracker": ListTracker(then),
            "metrics": StepMetrics(device, dtype=torch.float32, gather=world.gather),
            "watchdog": Watchdog(world.store, rank=world.rank, world_size=world.size, timeout_s=60),
            "stop": stop or StopRequest(),
            "run_dir": folder,
            "num_steps": 6,
            "visual_tokens": 0,
            "save_every": 4,
            **options,
        }
    )


def batches(sampler: LengthGroupedSampler, world: World, micro: int) -> Iterator[Batch]:
    """Micro-batches of a process, by the plan."""
    return map(make_batch, sampler.upcoming(world.rank, world.size, micro, epochs=9))
