"""Evaluate a run on a task: `merv eval --model runs/<run_id> --task.type synthetic-mcq`."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import merv.evaluation.tasks  # noqa: F401 - registers the tasks
from merv.errors import ConfigError
from merv.evaluation import report
from merv.evaluation.judge import give_loader
from merv.evaluation.runner import evaluate
from merv.evaluation.task import TaskConfig
from merv.models.published import CHECKPOINT, MODELS, find_run
from merv.models.weights import FILE
from merv.runs.folder import hash_of_file
from merv.runs.load import load, paths_of
from merv.runtime import is_main

logger = logging.getLogger(__name__)


@dataclass
class EvalConfig:
    """A model, a task, and how to ask."""

    model: Path
    """Folder of a finished run, such as runs/<run_id>, or a published model, such as merv-full."""
    task: TaskConfig = field(default_factory=lambda: TaskConfig.new("synthetic-mcq"))
    """What to ask; `merv list tasks`."""
    batch_size: int = 8
    """Questions answered at a time."""
    max_new_tokens: int = 32
    """Longest answer in tokens."""
    out_dir: Path | None = None
    """Folder of the predictions and results; None means eval/<task> in the run's folder."""
    num_workers: int = 2
    """Processes that decode ahead; 0 decodes in the evaluating process."""
    decode_deadline_s: float = 60.0
    """Seconds one item may take to decode; after that it has failed."""
    resume: bool = True
    """Go on after the answers in out_dir; false refuses a folder that holds some."""
    plugins: list[str] = field(default_factory=list)
    """Packages to import first, so that what they register can be chosen."""

    llm_path: Path | None = None
    """Local folder with the LLM's files, in place of the hub's; None means what the run says."""
    video_backbone_paths: dict[str, Path] = field(default_factory=dict)
    """Local folders of encoders' weights by name or its beginning: `--dinov2_path DIR` is short for it."""

    def __post_init__(self) -> None:
        """Refuse sizes that make no sense."""
        if self.batch_size < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"batch_size {self.batch_size} and max_new_tokens {self.max_new_tokens} must be at least 1"
            )
        if self.num_workers < 0 or not self.decode_deadline_s > 0:
            raise ConfigError(
                f"num_workers {self.num_workers} must be at least 0 and decode_deadline_s {self.decode_deadline_s:g} "
                "above 0"
            )


def run(config: EvalConfig) -> int:
    """Ask, write out_dir, log the table; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    task = config.task.build()
    give_loader(task, load)
    out_dir = config.out_dir or _beside(config.model) / "eval" / task.name
    model = load(config.model, **paths_of(config))
    results = evaluate(
        model,
        task,
        batch_size=config.batch_size,
        out_dir=out_dir,
        max_new_tokens=config.max_new_tokens,
        num_workers=config.num_workers,
        decode_deadline_s=config.decode_deadline_s,
        resume=config.resume,
        about_model=about_run(config.model),
    )
    if is_main():
        row = {"task": task.name, **results}
        logger.info("results in %s\n%s", out_dir, report.table([row], list(row)))
    return 0


def _beside(path: Path) -> Path:
    """Folder of a run; of a published model, which has none here, one below runs."""
    return path if path.is_dir() else Path("runs") / path.name


def about_run(path: Path) -> dict[str, Any]:
    """Where the model comes from, with the hash of its weights: other weights are another model.

    Raises:
        ConfigError: a published model that cannot be had.
    """
    if str(path) in MODELS and not path.is_dir():
        file = find_run(str(path)).checkpoint
    else:
        file = path / FILE if (path / FILE).is_file() else path / CHECKPOINT
    return {"path": str(path), "weights_sha256": hash_of_file(file)}
