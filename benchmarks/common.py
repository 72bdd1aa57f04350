"""What the benchmarks share: timing that survives a busy machine, one table, and a training without a data set."""

import datetime
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
import torch

from merv import runtime
from merv.data.ledger import BadSampleLedger
from merv.data.sample import Batch, Example
from merv.data.sampling import LengthGroupedSampler
from merv.models.base import ModelConfig
from merv.models.freeze import checkpoint_activations, compile_blocks, set_stage
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.models.stage import StageName
from merv.runs import assemble
from merv.training.checkpoint import Checkpointer
from merv.training.flops import part_costs, step_flops
from merv.training.loop import Job
from merv.training.metrics import StepMetrics, device_name
from merv.training.optim import build_optimizer
from merv.training.signals import StopRequest
from merv.training.strategies import StrategyConfig
from merv.training.trackers import MultiTracker
from merv.training.watchdog import Watchdog
from merv.training.world import World


@dataclass(frozen=True)
class Timing:
    """Repeated measurements of one thing; other jobs share most machines, so the median counts."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def text(self, digits: int = 2) -> str:
        """Median, and the range in brackets."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"

    def rate(self, count: float = 1.0) -> "Timing":
        """From seconds to `count` a second."""
        return Timing(tuple(count / value for value in self.values))


def seconds(work: Callable[[], object]) -> float:
    """Seconds `work` takes, on the clock of the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(measures: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Timing]:
    """Take each measure in turn, `repeats` times over, so that a busy minute of the machine meets all of them."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            values[name].append(measure())
    return {name: Timing(tuple(found)) for name, found in values.items()}


def machine() -> str:
    """Processor, cores, accelerator, versions and date: what a figure depends on."""
    device = runtime.device()
    accelerator = (
        "no accelerator" if device.type == "cpu" else f"{torch.accelerator.device_count()} x {device_name(device)}"
    )
    versions = " · ".join(
        f"{name} {metadata.version(name)}" for name in ("merv", "torch", "torchvision", "av", "pillow")
    )
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{runtime.processor()}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {accelerator} · "
        f"Python {platform.python_version()} · {versions} · {datetime.date.today()}"
    )


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A Markdown table under its title, with the machine and the notes below."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    below = [machine(), *notes]
    return "\n".join([f"### {title}", "", padded[0], rule, *padded[1:], "", *(f"- {line}" for line in below)])


def build_job(
    model_config: ModelConfig, stage_name: StageName, world: World, folder: Path, *, text_tokens: int
) -> Job:
    """A training like `merv train` makes, except that every micro-batch is the same made-up one, already in memory."""
    stage = model_config.stage(stage_name)
    runtime.seed_everything(7)
    model = model_config.build(seed=7)
    assert isinstance(model, MultiEncoderLM), "made-up batches are those of the multi-encoder family"
    set_stage(model, stage_name, stage)
    costs = part_costs(model.stations())
    if model_config.compile_blocks:
        compile_blocks(model)
    if model_config.enable_gradient_checkpointing:
        checkpoint_activations(model)
    batch = made_up_batch(model, stage.per_device_batch_size, text_tokens)
    precision = assemble.precision(model_config, world.device)
    strategy = StrategyConfig.get(stage.train_strategy)().build(world, precision)
    wrapped = strategy.prepare(model)
    return Job(
        model=wrapped,
        strategy=strategy,
        optimizer=build_optimizer(wrapped.named_parameters(), stage),
        stage=stage,
        batches=itertools.repeat(batch),
        sampler=LengthGroupedSampler([text_tokens] * stage.global_batch_size, stage.global_batch_size),
        ledger=BadSampleLedger(),
        checkpointer=Checkpointer(folder, world),
        tracker=MultiTracker(),
        metrics=StepMetrics(world.device, dtype=precision.compute, gather=world.gather),
        watchdog=Watchdog(world.store, rank=world.rank, world_size=world.size, timeout_s=600.0),
        stop=StopRequest(),
        run_dir=folder,
        num_steps=1_000_000,
        visual_tokens=model.visual_tokens(),
        count_flops=lambda batch: step_flops(costs, model.station_tokens(batch)),
    )


def made_up_batch(model: MultiEncoderLM, rows: int, text_tokens: int) -> Batch:
    """Rows of random frames and words; every word is learned."""
    generator = torch.Generator().manual_seed(7)
    processor = model.processor
    examples = []
    for row in range(rows):
        ids = torch.randint(len(processor.tokenizer), (text_tokens,), generator=generator)
        frames = {
            view.name: torch.randint(
                256, (processor.num_frames, 3, view.size, view.size), dtype=torch.uint8, generator=generator
            )
            for view in processor.views
        }
        examples.append(Example(ids, ids.clone(), frames, str(row)))
    return processor.collate(examples)
