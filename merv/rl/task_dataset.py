"""Questions of an evaluation task as prompts to learn from; the reward `task` scores the answers as the task does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import merv.evaluation.tasks  # noqa: F401 - registers the tasks
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.task import Task, TaskConfig


@dataclass
class TaskSource(Source):
    """A task's samples."""

    task: Task = None  # type: ignore[assignment]  # always given; the base's fields have defaults
    """Who scores answers to them."""


@DatasetConfig.register_subclass("task")
@dataclass
class TaskDatasetConfig(DatasetConfig):
    """The questions of an evaluation task, for GRPO: `--dataset.type task --dataset.task.type nextqa-mc`."""

    task: TaskConfig = field(default_factory=lambda: TaskConfig.new("synthetic-mcq"))
    """The task; `merv list tasks`.  Its questions carry no answers to imitate: only rewards can use them."""
    max_samples: int | None = None
    """Take the first so many questions; None takes all."""

    def __post_init__(self) -> None:
        """Refuse a number that leaves nothing."""
        if self.max_samples is not None and self.max_samples < 1:
            raise ConfigError(f"dataset `task`: max_samples is {self.max_samples}; give at least 1, or null for all")

    def load(self, stage: str) -> TaskSource:
        """Read the task's files; every stage has the same questions."""
        task = self.task.build()
        samples: Sequence[Sample] = task.samples()[: self.max_samples]
        return TaskSource(self.dataset_id or task.name, samples, files=_files(self.task), task=task)


def _files(config: Any) -> list[Any]:
    """Annotation files a task's config names, for the run's lineage."""
    named = [getattr(config, name, None) for name in ("annotations", "annotation_path")]
    return [path for path in named if path is not None and hasattr(path, "is_file") and path.is_file()][:1]
