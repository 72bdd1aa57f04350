"""How long a checkpoint holds the training up, written in the background and not; and how long a resume takes.

    python benchmarks/checkpoint.py

The stall of a background save is the time `save()` blocks.  What the writing costs the steps beside it is shown apart:
on a CPU the writer takes its share of the cores from the training, beside an accelerator it does not.
A resume is timed from the loading of the checkpoint to the first batch, at two places of the same run.
"""

import argparse
import functools
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import Timing, build_job, interleaved, seconds, table

import merv.conf.models  # noqa: F401 - registers merv-tiny
from merv.data.dataset import PreparedDataset, Source
from merv.data.datasets import SyntheticConfig
from merv.data.loader import build_loader
from merv.data.sampling import SplitModalitySampler
from merv.data.survey import survey
from merv.models.base import ModelConfig, Processor
from merv.training.checkpoint import Checkpointer
from merv.training.loop import Job, train_step
from merv.training.world import World, join_world

ROWS = 2
"""Rows of a batch."""


@dataclass(frozen=True)
class Size:
    """A model and how often to measure."""

    hidden_size: int = 1024
    num_layers: int = 8
    num_rows: int = 100_000
    """Rows of the plan a resume goes back to; batches of two, so that an epoch is longer than the later resume."""
    repeats: int = 5


@dataclass
class Stall:
    """Seconds of one save in the background."""

    blocked: float
    """In save()."""
    beside: float
    """What the steps taken until it was written lasted longer than usual."""
    steps: int
    """Steps taken meanwhile."""


def model_config(size: Size | None = None) -> ModelConfig:
    """merv-tiny, with an LLM of a wanted size."""
    config = ModelConfig.get("merv-tiny")()
    if size is not None:
        width = {"hidden_size": size.hidden_size, "intermediate_size": size.hidden_size * 11 // 4}
        config.llm_options = {**width, "num_layers": size.num_layers, "num_heads": 8}
    for stage in (config.align, config.finetune):
        stage.train_strategy, stage.global_batch_size, stage.per_device_batch_size = "single", ROWS, ROWS
    return config


def one_step(job: Job, step: int) -> None:
    """Train on the made-up batch."""
    train_step(job, step, list(itertools.islice(job.batches, 1)))


def background_save(job: Job, checkpointer: Checkpointer, step: int) -> Stall:
    """Save, and train on until the checkpoint is there."""
    usual = Timing(tuple(seconds(lambda: one_step(job, step)) for _ in range(3))).median
    blocked = seconds(lambda: checkpointer.save(step, job.model, job.optimizer, {}))
    spent, steps = 0.0, 0
    while (found := checkpointer.latest()) is None or int(found.name.split("-")[1]) != step:
        spent += seconds(lambda: one_step(job, step))
        steps += 1
        checkpointer.poll()
    return Stall(blocked, spent - steps * usual, steps)


def measure_stall(size: Size, world: World, folder: Path) -> list[list[str]]:
    """Rows of the table on saving."""
    job = build_job(model_config(size), "finetune", world, folder / "unused", text_tokens=16)
    one_step(job, 0)  # AdamW has its states from now on
    at_once = Checkpointer(folder / "sync", world, keep_last=1, asynchronous=False)
    behind = Checkpointer(folder / "async", world, keep_last=1)
    first = background_save(job, behind, 1)
    sync, stalls = [], []
    for step in range(2, 2 + size.repeats):
        save = functools.partial(at_once.save, step, job.model, job.optimizer, {})
        sync.append(seconds(save))
        stalls.append(background_save(job, behind, step))
    blocked, beside = Timing(tuple(s.blocked for s in stalls)), Timing(tuple(s.beside for s in stalls))
    whole = Timing(tuple(sync))
    learning = sum(p.numel() for p in job.model.parameters() if p.requires_grad)
    written = sum(file.stat().st_size for file in (folder / "sync").rglob("*") if file.is_file())
    name = f"save, {learning / 1e6:.1f} M parameters learn, {written / 1e9:.2f} GB"

    def share(value: float) -> str:
        return f"{100 * value / whole.median:.1f} % of at once"

    most = max(stall.steps for stall in stalls)
    return [
        [name, "at once: save() blocks", whole.text(), "100 %"],
        [name, "in the background: save() blocks", blocked.text(3), share(blocked.median)],
        [name, "the run's first in the background: save() blocks", f"{first.blocked:.3f}", share(first.blocked)],
        [name, f"the {most} steps beside the writing last longer by", beside.text(), share(beside.median)],
    ]


def long_plan(source: Source, processor: Processor, num_rows: int) -> tuple[Source, SplitModalitySampler]:
    """Few clips named by many rows, and the plan of their batches."""
    many = Source(source.name, list(itertools.islice(itertools.cycle(source.samples), num_rows)))
    return many, SplitModalitySampler(survey(many, processor.length), ROWS)


def measure_resume(size: Size, world: World, folder: Path, places: Sequence[int]) -> list[list[str]]:
    """Rows of the table on resuming.

    Raises:
        SystemExit: a resumed run does not see the batch an uninterrupted one would.
    """
    dataset = SyntheticConfig(dataset_root_dir=folder, num_train=16, num_eval=0)
    dataset.make()
    job = build_job(model_config(), "align", world, folder / "unused", text_tokens=16)
    processor = model_config().build().processor
    source, sampler = long_plan(dataset.load("align"), processor, size.num_rows)
    one_step(job, 0)
    checkpointer = Checkpointer(folder / "resume", world, keep_last=len(places), asynchronous=False)
    for step in range(1, max(places) + 1):
        sampler.advance()
        if step in places:
            checkpointer.save(step, job.model, job.optimizer, {"sampler": sampler.state_dict()})

    def resume(step: int) -> float:
        _, fresh = long_plan(source, processor, size.num_rows)
        loaded[step].append(seconds(lambda: load(job, checkpointer, step, fresh)))
        rows: list[tuple[int, ...]] = []
        started = seconds(lambda: rows.append(first_rows(processor, source, fresh)))
        _, walked = long_plan(source, processor, size.num_rows)
        expected = next(itertools.islice(walked.upcoming(0, 1, ROWS, epochs=1), step, None))
        if list(rows[0]) != expected:
            raise SystemExit(f"resumed at step {step} with rows {rows[0]}; an uninterrupted run sees {expected}")
        return loaded[step][-1] + started

    loaded: dict[int, list[float]] = {step: [] for step in places}
    totals = interleaved({str(step): functools.partial(resume, step) for step in places}, size.repeats)
    states = {str(step): Timing(tuple(values)) for step, values in loaded.items()}
    rows = []
    for what, timings in (("load", states), ("load, plan, first batch", totals)):
        early = timings[str(places[0])].median
        for place, timing in timings.items():
            against = f"{timing.median / early:.2f} x step {places[0]}; same rows"
            rows.append([f"resume, plan of {size.num_rows} rows", f"at step {place}, {what}", timing.text(3), against])
    return rows


def load(job: Job, checkpointer: Checkpointer, step: int, sampler: SplitModalitySampler) -> None:
    """Go to a checkpoint: tensors, random numbers and the place in the plan."""
    state = checkpointer.load(checkpointer.folder / f"step-{step:06d}", job.model, job.optimizer)
    sampler.load_state_dict(state["sampler"])


def first_rows(processor: Processor, source: Source, sampler: SplitModalitySampler) -> tuple[int, ...]:
    """The rows of the first batch, prepared in this process: the start of workers takes the same time at any step."""
    dataset = PreparedDataset(source, processor.prepare)
    with build_loader(dataset, processor.collate, sampler.upcoming(0, 1, ROWS, epochs=1), num_workers=0) as loader:
        return next(loader).indices


def main(args: Sequence[str] | None = None) -> str:
    """Measure and give the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden_size", type=int, default=Size.hidden_size, help="width of the LLM")
    parser.add_argument("--num_layers", type=int, default=Size.num_layers, help="layers of the LLM")
    parser.add_argument("--repeats", type=int, default=Size.repeats, help="measurements of each kind")
    parser.add_argument("--quick", action="store_true", help="a tiny model, once: shows that the program works")
    options = parser.parse_args(args)
    size = Size(options.hidden_size, options.num_layers, repeats=options.repeats)
    places = (10, 10_000)
    if options.quick:
        size, places = Size(hidden_size=64, num_layers=1, num_rows=400, repeats=1), (10, 100)
    with tempfile.TemporaryDirectory() as folder, join_world() as world:
        rows = measure_stall(size, world, Path(folder)) + measure_resume(size, world, Path(folder), places)
    return table(
        "Checkpoints",
        ["what", "measured", "seconds: median (range)", "against"],
        rows,
        [f"{size.repeats} rounds, saves at once and in the background in turn, resumes in turn"],
    )


if __name__ == "__main__":
    print(main())
