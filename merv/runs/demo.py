"""The tour: draw data, train merv-tiny through two stages on two processes, and score it: `make demo`, `merv demo`."""

import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import merv.evaluation.tasks  # noqa: F401 - registers the tasks
from merv import runtime
from merv.data.datasets import SyntheticConfig
from merv.errors import ConfigError, RunStopped
from merv.evaluation.report import table
from merv.evaluation.runner import evaluate
from merv.evaluation.task import TaskConfig
from merv.runs.evaluate import about_run
from merv.runs.load import load

logger = logging.getLogger(__name__)

Write = Callable[[str], object]
LAST_STAGE = "full-finetune"
"""Encoders with random weights tell shapes apart too badly to stay frozen; the demo trains them in its last stage."""

CONDITIONS = {"the clip": "video", "one frame of it": "single-frame", "nothing": "no-video"}


@dataclass
class DemoConfig:
    """How large the tour is."""

    run_root_dir: Path = Path("runs")
    """Folder of the demo's runs."""
    dataset_root_dir: Path = Path("data")
    """Folder the synthetic dataset is drawn in."""
    num_train: int = 2400
    """Rows to train on."""
    num_eval: int = 400
    """Held-out questions."""
    num_processes: int = 2
    """Training processes."""
    align_steps: int = 20
    """Optimiser steps of the align stage."""
    finetune_steps: int = 360
    """Optimiser steps of the last stage."""

    def __post_init__(self) -> None:
        """Refuse a tour of nothing."""
        for name in ("num_train", "num_eval", "num_processes", "align_steps", "finetune_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")


def run(config: DemoConfig, write: Write) -> int:
    """Take the tour; gives the exit status.

    Raises:
        RunStopped: a stage failed; its own message stands above.
    """
    runtime.setup_logging()
    began = time.monotonic()
    dataset = SyntheticConfig(
        dataset_root_dir=config.dataset_root_dir, num_train=config.num_train, num_eval=config.num_eval
    )
    write(f"1/4  drawing clips of moving shapes into {dataset.root}")
    dataset.make()
    for number, (stage, steps) in enumerate(
        (("align", config.align_steps), (LAST_STAGE, config.finetune_steps)), start=2
    ):
        write(f"{number}/4  stage {stage}: {steps} steps on {config.num_processes} processes, FSDP2")
        train_stage(config, stage, steps)
    run_dir = config.run_root_dir / f"demo-{LAST_STAGE}"
    write("4/4  asking held-out questions")
    rows = score(config, run_dir)
    write(f"\n{summary(rows, time.monotonic() - began)}\n")
    write(f"loss curve   {run_dir / 'loss.png'}")
    clip = dataset.root / "videos" / "eval-000000.mp4"
    question = "What shape is it? Options: (A) ring (B) square (C) triangle (D) cross"
    write(f'ask it       merv ask {run_dir} {clip} "{question}"')
    return 0


def train_stage(config: DemoConfig, stage: str, steps: int) -> None:
    """Run one stage under torchrun.

    Raises:
        RunStopped: it failed.
    """
    options = {
        "run_id": f"demo-{stage}",
        "run_root_dir": config.run_root_dir,
        "model.type": "merv-tiny",
        "model.model_id": "demo",
        "dataset.type": "synthetic",
        "dataset.dataset_root_dir": config.dataset_root_dir,
        "dataset.num_train": config.num_train,
        "dataset.num_eval": config.num_eval,
        "stage": stage,
        f"model.{stage}.max_steps": steps,
        "num_workers": 1,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(config.num_processes)]
    command = [sys.executable, *launch, "-m", "merv", "train", *words]
    threads = max(1, (os.cpu_count() or 1) // config.num_processes)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise RunStopped(f"stage {stage} failed; to see it alone: torchrun ... {' '.join(words)}")


def score(config: DemoConfig, run_dir: Path) -> list[dict[str, Any]]:
    """A row of accuracies for each thing the model is shown."""
    model = load(run_dir)
    rows = []
    for shown, condition in CONDITIONS.items():
        task = TaskConfig.new("synthetic-mcq", dataset_root_dir=config.dataset_root_dir, condition=condition).build()
        results = evaluate(
            model,
            task,
            batch_size=50,
            out_dir=run_dir / "eval" / task.name,
            max_new_tokens=8,
            num_workers=0,
            about_model=about_run(run_dir),
        )
        kinds = {k.partition("/")[2]: f"{100 * v:.1f} %" for k, v in results.items() if k.startswith("accuracy/")}
        rows.append({"shown": shown, "all": f"{100 * results['accuracy']:.1f} %", **kinds})
    rows.append({"shown": "chance", **dict.fromkeys(list(rows[0])[1:], "25.0 %")})
    return rows


def summary(rows: list[dict[str, Any]], seconds: float) -> str:
    """The table, and what it was measured on."""
    return (
        f"{table(rows, list(rows[0]))}\n\n"
        f"stages align, then {LAST_STAGE} (random encoders, so they learn in the last stage); "
        f"{seconds / 60:.1f} minutes on {runtime.processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
