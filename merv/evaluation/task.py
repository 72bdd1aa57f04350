"""The contract of a task: which samples it asks about, how an answer is read, and what it is worth."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from draccus import ChoiceRegistry

from merv.data.sample import Sample
from merv.models.reply import Reply
from merv.registry import Registry


@dataclass
class TaskConfig(Registry, ChoiceRegistry, kind="task"):
    """Base of the tasks a user can name: `--task.type synthetic-mcq`."""

    def build(self) -> "Task":
        """Read the task's files."""
        raise TypeError(f"{type(self).__name__} does not define build()")


@dataclass(frozen=True)
class Parsed:
    """What was read out of an answer."""

    value: Any = None
    """The task's own reading: an option's index, a text, a span; JSON can hold it.  None when there is none."""
    ok: bool = True
    """Whether the answer could be read."""


@dataclass(frozen=True)
class Item:
    """One sample with what became of it."""

    sample: Sample
    scores: Mapping[str, float]
    parsed: Parsed = field(default_factory=Parsed)
    text: str = ""
    """What the model said."""
    failed: str | None = None
    """Why the model was not asked, such as a video that does not decode; None when it was."""


class Task(ABC):
    """Samples, a parser and a score.  An answer that cannot be read is wrong and counted; nothing is drawn for it."""

    name: str
    """Name of its folder and of its row in tables."""
    parser: str
    """Name of the way answers are read, for the card; changes when the same text may read otherwise."""

    @abstractmethod
    def samples(self) -> Sequence[Sample]:
        """The samples in a fixed order; the last turn of each is the user's question."""

    @abstractmethod
    def parse(self, sample: Sample, text: str) -> Parsed:
        """Read the model's answer to a sample."""

    def read(self, sample: Sample, reply: Reply) -> Parsed:
        """Read a whole reply, moments that a head found included; its text, where a task has no use for more."""
        return self.parse(sample, reply.text)

    @abstractmethod
    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """Named values, 0..1, the same names for every sample; of an answer that could not be read, too."""

    def settle(self, items: Sequence[Item]) -> Sequence[Item]:
        """Items with the scores that one answer alone does not give, such as a judge's; on one process, at the end.

        Raises:
            RunStopped: they cannot be had now; answers are kept, and the same command goes on.
        """
        return items

    def describe(self) -> dict[str, Any]:
        """Options of the task that decide what is asked, for the card."""
        return {}

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Mean of every score over all items and, as `score/kind`, over each kind; with counts."""
        groups: defaultdict[str, list[float]] = defaultdict(list)
        for item in items:
            for name, value in item.scores.items():
                groups[name].append(value)
                if kind := item.sample.meta.get("kind"):
                    groups[f"{name}/{kind}"].append(value)
        return {
            **{name: sum(values) / len(values) for name, values in sorted(groups.items())},
            "num_items": len(items),
            "unparsed": sum(not item.parsed.ok for item in items if item.failed is None),
            "failed": sum(item.failed is not None for item in items),
        }
