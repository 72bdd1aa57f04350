"""Sampled answers as rewards see them: the completions of a step, and a column for everything known about each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from merv.data.sample import Sample

OWN_COLUMNS = ("completions", "ids", "prompts", "references", "samples", "solution", "trainer_state")
"""What rewards may ask for whatever the rows hold."""


@dataclass(frozen=True)
class TrainerState:
    """How far the training is."""

    global_step: int
    """Optimiser steps done."""
    max_steps: int
    """Optimiser steps of the run."""


@dataclass(frozen=True)
class Answers:
    """Completions of one process in one step, those of a prompt one after the other."""

    completions: Sequence[str]
    prompts: Sequence[str]
    """What the model was asked, one for each completion; so are the samples."""
    samples: Sequence[Sample]
    state: TrainerState

    @property
    def ids(self) -> list[str]:
        """The sample of each completion."""
        return [sample.id for sample in self.samples]

    def columns(self) -> dict[str, Any]:
        """What a reward may ask for by name: lists by completion, and `trainer_state`.

        Keys of `meta` that all samples have are columns; a name of our own goes before theirs, save `solution`.
        """
        references = [reference_of(sample) for sample in self.samples]
        shared = set.intersection(*(set(sample.meta) for sample in self.samples)) if self.samples else set()
        return {
            "solution": references,
            **{key: [sample.meta[key] for sample in self.samples] for key in sorted(shared)},
            "references": references,
            "ids": self.ids,
            "samples": list(self.samples),
            "prompts": list(self.prompts),
            "completions": list(self.completions),
            "trainer_state": self.state,
        }


def reference_of(sample: Sample) -> str | None:
    """The answer a row ends with; where it ends with a question its `solution`, if that is text, else None."""
    if sample.turns and sample.turns[-1].role == "assistant":
        return sample.turns[-1].text
    solution = sample.meta.get("solution")
    return solution if isinstance(solution, str) else None
