"""The role models' tour: train four roles on one tiny base, chain them, score them.

`make demo-roles`, `merv demo-roles`.
"""

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import merv.evaluation.tasks  # noqa: F401 - registers the tasks
from merv import runtime
from merv.errors import ConfigError, RunStopped
from merv.evaluation.answers import PREDICTIONS
from merv.evaluation.report import table
from merv.evaluation.runner import RESULTS

logger = logging.getLogger(__name__)

Write = Callable[[str], object]
STEPS = {"grounder": 750, "verifier": 400, "answerer": 300, "planner": 120}
"""Roles of the chain in the order they are trained, and their optimiser steps."""

ASKED = {
    "synthetic-grounding": [("grounder",), ("grounder", "verifier")],
    "synthetic-grounded-qa": [("answerer",), ("planner", "grounder", "verifier", "answerer")],
}
"""Tasks, and who answers each."""
QUESTIONS = {"synthetic-grounding": "when, 100 clips", "synthetic-grounded-qa": "which colour, 40 short acts"}
SHORTEST_LOOK = 1.0
"""Seconds the answerer is shown at least: the acts asked about last two to four."""
PICTURE = "moments.png"


@dataclass
class DemoRolesConfig:
    """How large the tour is."""

    run_root_dir: Path = Path("runs")
    """Folder of the demo's runs."""
    dataset_root_dir: Path = Path("data")
    """Folder the synthetic clips are drawn in."""
    num_processes: int = 2
    """Roles that are trained at the same time, a process each."""
    scale: float = 1.0
    """Share of the optimiser steps, for a shorter trial."""

    def __post_init__(self) -> None:
        """Refuse a tour of nothing."""
        if self.num_processes < 1 or not self.scale > 0:
            raise ConfigError(f"num_processes {self.num_processes} must be at least 1, scale {self.scale:g} above 0")


def run(config: DemoRolesConfig, write: Write) -> int:
    """Take the tour; gives the exit status.

    Raises:
        RunStopped: a role's training failed; its own message stands above.
    """
    from merv.runs.export_roles import ExportRolesConfig, export_roles

    runtime.setup_logging()
    began = time.monotonic()
    write("1/4  drawing clips of two or three acts each")
    _draw(config)
    write(f"2/4  training {', '.join(STEPS)}: adapters on one two-layer Qwen2-VL")
    train_roles(config)
    trained = time.monotonic() - began
    joined = config.run_root_dir / "demo-roles"
    write(f"3/4  joining the adapters in {joined}")
    export_roles(ExportRolesConfig([config.run_root_dir / run_id(role) for role in STEPS], joined, overwrite=True))
    write("4/4  asking held-out questions")
    results = score(config, joined)
    write(f"\n{summary(results, trained, time.monotonic() - began)}\n")
    clip = config.dataset_root_dir / "download" / "synthetic-moments" / "videos" / "short-000000.mp4"
    write(f"some of them  {joined / PICTURE}")
    write(f'ask them      merv ask {joined} {clip} "When is the background blue?" --agent grounder,verifier')
    return 0


def run_id(role: str) -> str:
    """Name of a role's run."""
    return f"demo-{role}"


def _draw(config: DemoRolesConfig) -> None:
    from merv.data.datasets import DatasetConfig

    DatasetConfig.new("synthetic-grounder", dataset_root_dir=config.dataset_root_dir).make()


def train_roles(config: DemoRolesConfig) -> None:
    """Train the roles, `num_processes` at a time.

    Raises:
        RunStopped: one failed.
    """
    waiting, running = list(STEPS), dict[str, subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < config.num_processes:
                role = waiting.pop(0)
                running[role] = _start(config, role)
            for role, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[role]
                if process.returncode != 0:
                    raise RunStopped(
                        f"training the {role} failed; to see it alone: {' '.join(_command(config, role))}"
                    )
            time.sleep(0.2)
    finally:
        for process in running.values():
            process.terminate()


def _start(config: DemoRolesConfig, role: str) -> "subprocess.Popen[bytes]":
    threads = max(1, (os.cpu_count() or 1) // config.num_processes)
    return subprocess.Popen(_command(config, role), env={**os.environ, "OMP_NUM_THREADS": str(threads)})


def _command(config: DemoRolesConfig, role: str) -> list[str]:
    options = {
        "run_id": run_id(role),
        "run_root_dir": config.run_root_dir,
        "model.type": f"role-tiny-{role}",
        "dataset.type": f"synthetic-{role}",
        "dataset.dataset_root_dir": config.dataset_root_dir,
        "model.finetune.max_steps": max(1, round(STEPS[role] * config.scale)),
        "num_workers": 1,
    }
    return [sys.executable, "-m", "merv", "train", *(f"--{name}={value}" for name, value in options.items())]


def score(config: DemoRolesConfig, joined: Path) -> dict[str, Mapping[str, float]]:
    """Results of the chain and of its parts, by who answers; draws some of them."""
    from merv.agent.chain import ChainConfig
    from merv.evaluation.task import TaskConfig
    from merv.runs.demo_picture import draw_moments, rows_of
    from merv.runs.evaluate import EvalConfig
    from merv.runs.evaluate import run as run_evaluation

    shutil.rmtree(joined / "eval", ignore_errors=True)  # answers of an earlier demo's weights
    found: dict[str, Mapping[str, float]] = {}
    for name, agents in ASKED.items():
        task = TaskConfig.new(name, dataset_root_dir=config.dataset_root_dir)
        for agent in agents:
            out_dir = joined / "eval" / f"{name}-agent-{'-'.join(agent)}"
            chain = ChainConfig(answer_min_seconds=SHORTEST_LOOK)
            run_evaluation(EvalConfig(joined, task, agent=list(agent), chain=chain, out_dir=out_dir, num_workers=0))
            found[f"{name}: {', '.join(agent)}"] = json.loads((out_dir / RESULTS).read_text())
            if agent == ("grounder", "verifier"):
                draw_moments(rows_of(task.build().samples(), out_dir / PREDICTIONS), joined / PICTURE)
    return found


def summary(results: Mapping[str, Mapping[str, float]], trained: float, all_of_it: float) -> str:
    """The table, and what it was measured on."""
    rows: list[dict[str, Any]] = []
    for asked, found in results.items():
        task, _, roles = asked.partition(": ")
        option = f"{100 * found['accuracy']:.1f} %" if "accuracy" in found else "-"
        rows.append({"asked": QUESTIONS[task], "who answers": roles, "right option": option, **_moments(found)})
    return (
        f"{table(rows, list(rows[0]))}\n\n"
        f"trained in {trained / 60:.1f} minutes, {all_of_it / 60:.1f} with the questions, on {runtime.processor()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )


def _moments(found: Mapping[str, float]) -> dict[str, str]:
    return {"mIoU": f"{found['iou']:.2f}", "R1@0.5": f"{100 * found['R1@0.5']:.0f} %"}
