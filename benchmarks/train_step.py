"""Speed of the training step of a model under several strategies, without decoding.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --stage full-finetune --strategies ['single','hsdp']
    python benchmarks/train_step.py --model.type merv-base --model.init random --strategies ['fsdp-full-shard']

Each strategy but `single` runs under torchrun, with a process for each accelerator, or two on a CPU.  The batch is
made up and in memory; the step is that of `merv train`.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from common import Timing, build_job, table
from torch.distributed.tensor import DTensor

import merv.conf.models  # noqa: F401 - registers the presets
from merv import runtime
from merv.conf.parse import parse
from merv.errors import RunStopped
from merv.models.base import ModelConfig
from merv.models.stage import StageName
from merv.training.loop import Job, train_step
from merv.training.metrics import device_name
from merv.training.world import join_world

SHOWN = ("samples_per_second", "tokens_per_second", "step_seconds", "peak_memory_gib", "mfu")


@dataclass
class TrainStepConfig:
    """What to measure."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig.get("merv-tiny")())
    """The model and its stages."""
    stage: StageName = "finetune"
    """Decides what learns; batch sizes are the stage's."""
    strategies: list[str] = field(default_factory=lambda: ["single", "ddp", "fsdp-full-shard"])
    """Registered strategies, in the order of the table."""
    num_processes: int | None = None
    """Processes under torchrun; None means one for each accelerator, or 2 on a CPU."""
    steps: int = 20
    """Steps measured."""
    warmup: int = 5
    """Steps before."""
    text_tokens: int = 128
    """Tokens of text of each row."""
    quick: bool = False
    """Two steps with two rows: shows that the program works."""
    rows_file: Path | None = None
    """Where a process that this program has started leaves its figures."""

    def __post_init__(self) -> None:
        """Make it small if so asked."""
        if self.quick:
            self.steps, self.warmup, self.text_tokens = 2, 1, 16
            stage = self.model.stage(self.stage)
            stage.global_batch_size, stage.per_device_batch_size = 2, 1


def measure(config: TrainStepConfig, strategy: str) -> dict[str, Any]:
    """Train some steps in this process and those started with it; gives the figures of every step."""
    config.model.stage(config.stage).train_strategy = strategy
    with tempfile.TemporaryDirectory() as folder, join_world() as world:
        job = build_job(config.model, config.stage, world, Path(folder), text_tokens=config.text_tokens)
        accumulation = job.stage.accumulation_steps(world.size)
        flops = accumulation * job.count_flops(next(iter(job.batches)))
        rows = []
        for step in range(config.warmup + config.steps):
            row, _ = train_step(job, step, list(itertools.islice(job.batches, accumulation)))
            rows.append({name: row[name] for name in SHOWN if name in row})
        return {
            "processes": world.size,
            "threads": torch.get_num_threads(),
            "device": device_name(world.device),
            "dtype": str(job.strategy.precision.compute).removeprefix("torch."),
            "batch": f"{world.size} x {accumulation} x {job.stage.per_device_batch_size}",
            "tflop": flops / 1e12,
            "parts": memory_by_part(job),
            "rows": rows[config.warmup :],
        }


def memory_by_part(job: Job) -> list[list[str]]:
    """Lines of part, parameters, and GiB of weights, gradients and optimiser states this process holds for it."""
    sizes: dict[str, list[float]] = {}
    for name, parameter in job.model.named_parameters():
        part = sizes.setdefault(name.removeprefix("module.").partition(".")[0], [0.0] * 4)
        states = job.optimizer.state.get(parameter, {}).values()
        held = [[parameter], [parameter.grad], [state for state in states if isinstance(state, torch.Tensor)]]
        if parameter.requires_grad and parameter.grad is None:
            held[1] = [parameter]  # given back after the step
        part[0] += parameter.numel()
        for column, tensors in enumerate(held, start=1):
            part[column] += sum(local_bytes(tensor) for tensor in tensors if tensor is not None) / 2**30
    return [[part, f"{count / 1e6:,.1f} M", *(f"{gib:.2f}" for gib in rest)] for part, (count, *rest) in sizes.items()]


def local_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor, or of this process's shard of it."""
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return own.numel() * own.element_size()


def launch(config: TrainStepConfig, strategy: str, args: Sequence[str]) -> dict[str, Any]:
    """The figures of one strategy, under torchrun unless it is for one process.

    Raises:
        RunStopped: the processes failed.
    """
    if strategy == "single":
        return measure(config, strategy)
    on_cpu = runtime.device().type == "cpu"
    processes = config.num_processes or (2 if on_cpu else torch.accelerator.device_count())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        own = [__file__, *args, "--strategies", f"[{strategy}]", "--rows_file", str(file)]
        done = subprocess.run([*torchrun, *own], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunStopped(f"strategy {strategy} on {processes} processes failed:\n{done.stderr[-4000:]}")
        return json.loads(file.read_text())


def row_of(strategy: str, found: dict[str, Any]) -> list[str]:
    """A line of the table."""
    columns = {name: Timing(tuple(row[name] for row in found["rows"])) for name in SHOWN if name in found["rows"][0]}
    return [
        strategy,
        f"{found['processes']} x {found['threads']} threads, {found['device']}, {found['dtype']}",
        found["batch"],
        columns["step_seconds"].text(3),
        f"{columns['samples_per_second'].median:.3g}",
        f"{columns['tokens_per_second'].median:,.0f}",
        f"{found['tflop']:.3g}",
        f"{max(columns['peak_memory_gib'].values):.2f}",
        f"{100 * columns['mfu'].median:.1f} %" if "mfu" in columns else "unknown device",
    ]


def main(args: Sequence[str] | None = None) -> str | None:
    """Measure and give the table; None in a process that only leaves its figures."""
    given = list(sys.argv[1:] if args is None else args)
    config = parse(TrainStepConfig, given)
    if config.rows_file is not None:
        found = measure(config, config.strategies[0])
        if runtime.is_main():
            config.rows_file.write_text(json.dumps(found))
        return None
    found = {strategy: launch(config, strategy, given) for strategy in config.strategies}
    steps = table(
        f"Training step: {config.model.type_name}, {config.stage}, {config.text_tokens} tokens of text a row",
        ["strategy", "processes", "batch", "s/step: median (range)", "samples/s", "tokens/s", "TFLOP", "GiB", "MFU"],
        [row_of(strategy, figures) for strategy, figures in found.items()],
        [
            f"{config.steps} steps after {config.warmup}; peak memory of the fullest process",
            "TFLOP: of one process in a step, by the formula of docs/models.md",
        ],
    )
    memory = [[strategy, *line] for strategy, figures in found.items() for line in figures["parts"]]
    return (
        steps
        + "\n\n"
        + table(
            "What the first process holds, GiB",
            ["strategy", "part", "parameters", "weights", "gradients", "optimiser"],
            memory,
            ["activations and what is gathered for a moment come on top"],
        )
    )


if __name__ == "__main__":
    shown = main()
    if shown is not None:
        print(shown)
