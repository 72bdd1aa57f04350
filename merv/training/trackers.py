"""Where a step's numbers go: metrics.jsonl, TensorBoard, Weights & Biases; only the first process writes."""

import json
import logging
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from merv import runtime
from merv.errors import ConfigError
from merv.registry import did_you_mean

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


class Tracker(ABC):
    """Takes a run's config once and its numbers step by step.

    A name without a slash belongs to training: "loss" is "train/loss" to a viewer.  "eval/nextqa/accuracy" stays.
    """

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record numbers of optimiser step `step` (the first is 1)."""

    def log_config(self, config: Mapping[str, Any]) -> None:  # noqa: B027 - most runs keep it in config.yaml
        """Record the run's config."""

    def close(self) -> None:  # noqa: B027 - a tracker that holds nothing has nothing to close
        """Write what is pending."""


class JsonlTracker(Tracker):
    """One JSON object a step in metrics.jsonl; a number that is not finite becomes null.

    Opening it for a run resumed from step k drops the rows past k, and a last line that a crash cut short.
    """

    def __init__(self, run_dir: Path, *, resume_step: int = 0) -> None:
        self.path = run_dir / METRICS_FILE
        run_dir.mkdir(parents=True, exist_ok=True)
        keep_rows(self.path, last_step=resume_step)
        self._file = self.path.open("a", encoding="utf-8")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        numbers = {name.removeprefix("train/"): _finite(value) for name, value in metrics.items()}
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def keep_rows(path: Path, *, last_step: int) -> int:
    """Rewrite a metrics file to its whole rows up to `last_step`, by one rename; returns the number dropped."""
    if not path.exists():
        return 0
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    kept = [line for line in lines if _step_of(line) <= last_step]
    if len(kept) == len(lines) and (not text or text.endswith("\n")):
        return 0
    draft = path.with_suffix(".jsonl.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in kept))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    dropped = len(lines) - len(kept)
    logger.info("%s: %d rows kept up to step %d, %d later or torn rows dropped", path, len(kept), last_step, dropped)
    return dropped


def _step_of(line: str) -> float:
    """Step of a row; infinity for a line that is no whole row."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return math.inf
    step = row.get("step") if isinstance(row, dict) else None
    return step if isinstance(step, int) else math.inf


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


class TensorboardTracker(Tracker):
    """Event files in tensorboard/ of the run's folder; on resume the viewer is told to forget the steps past it."""

    def __init__(self, run_dir: Path, *, resume_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=resume_step + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(_slashed(name), value, step)

    def log_config(self, config: Mapping[str, Any]) -> None:
        text = json.dumps(config, indent=2, default=str)
        self._writer.add_text("config", "\n".join(f"    {line}" for line in text.splitlines()))

    def close(self) -> None:
        self._writer.close()


class WandbTracker(Tracker):
    """A Weights & Biases run named after ours; where the service cannot be used, an offline run to be synced later."""

    def __init__(self, run_dir: Path, *, run_id: str, project: str, entity: str | None = None) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ConfigError("tracker `wandb` needs a package that is missing; `pip install merv[wandb]`") from error
        run_dir.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "name": run_id,
            "id": re.sub(r"[/\\#?%: ]", "-", run_id)[:128],
            "dir": str(run_dir),
            "resume": "allow",
        }
        try:
            self._run = wandb.init(**options)
        except wandb.errors.Error as error:
            logger.warning("W&B cannot be used (%s); the run is kept offline, `wandb sync` uploads it", error)
            self._run = wandb.init(**options, mode="offline")
        # The service refuses steps below its own; a step axis of ours lets a resumed run log them again.
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({"step": step, **{_slashed(name): value for name, value in metrics.items()}})

    def log_config(self, config: Mapping[str, Any]) -> None:
        self._run.config.update(dict(config), allow_val_change=True)

    def close(self) -> None:
        self._run.finish()


def _slashed(name: str) -> str:
    return name if "/" in name else f"train/{name}"


class MultiTracker(Tracker):
    """Several trackers as one; none on processes other than the first."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self.trackers = list(trackers)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.log(step, metrics)

    def log_config(self, config: Mapping[str, Any]) -> None:
        for tracker in self.trackers:
            tracker.log_config(config)

    def close(self) -> None:
        for tracker in self.trackers:
            tracker.close()


TRACKERS = ("jsonl", "tensorboard", "wandb")
"""Names a run may list."""


def check_names(names: Sequence[str]) -> None:
    """Refuse trackers there are none of.

    Raises:
        ConfigError: a name is unknown; the message lists near ones.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"unknown tracker `{name}`; {did_you_mean(name, TRACKERS)}")


def build_trackers(
    names: Sequence[str],
    run_dir: Path,
    *,
    run_id: str,
    project: str = "merv",
    entity: str | None = None,
    resume_step: int = 0,
) -> MultiTracker:
    """The named trackers on the first process, none on the others.  A fresh run has `resume_step` 0.

    Raises:
        ConfigError: a name is unknown (on every process), or its package is missing.
    """
    check_names(names)
    if not runtime.is_main():
        return MultiTracker()
    makers: dict[str, Callable[[], Tracker]] = {
        "jsonl": lambda: JsonlTracker(run_dir, resume_step=resume_step),
        "tensorboard": lambda: TensorboardTracker(run_dir, resume_step=resume_step),
        "wandb": lambda: WandbTracker(run_dir, run_id=run_id, project=project, entity=entity),
    }
    return MultiTracker([makers[name]() for name in dict.fromkeys(names)])
