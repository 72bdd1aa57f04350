"""The answers of a run, to be read by people: completions.jsonl in its folder, a line for each.

The first process writes completions.jsonl, the others completions-00001.jsonl and so on.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from merv.rl.answers import Answers
from merv.training.trackers import keep_rows

FILE = "completions.jsonl"


class CompletionLog:
    """Writes the answers of every n-th step."""

    def __init__(self, run_dir: Path, *, every: int, rank: int = 0, world_size: int = 1, resume_step: int = 0) -> None:
        """Open the file of a process; answers of steps past `resume_step` are dropped: they are given once more.

        Args:
            run_dir: the run's folder.
            every: steps from one that is written to the next; 0 writes none.
            rank: of this process.
            world_size: processes of this attempt; the first one also tends the files of those there were more of.
            resume_step: steps done before this attempt.
        """
        self.path = run_dir / _file_of(rank)
        self.every = every
        keep_rows(self.path, last_step=resume_step)
        for path in run_dir.glob("completions-*.jsonl") if rank == 0 else ():
            if path.name not in map(_file_of, range(world_size)):
                keep_rows(path, last_step=resume_step)

    def write(self, step: int, answers: Answers, columns: dict[str, Tensor], *, names: Sequence[str]) -> None:
        """Append the answers of a step (the first is 1).

        Args:
            step: the step.
            answers: what was said.
            columns: numbers (N,) by name, and `rewards` (N, R).
            names: of the rewards.
        """
        if not self.every or (step - 1) % self.every:
            return
        rewards = columns.pop("rewards").tolist()
        numbers = {name: values.tolist() for name, values in columns.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            for row, (name, prompt, text) in enumerate(
                zip(answers.ids, answers.prompts, answers.completions, strict=True)
            ):
                given = {key: _plain(value) for key, value in zip(names, rewards[row], strict=True)}
                line = {"step": step, "id": name, "prompt": prompt, "completion": text, "rewards": given}
                line |= {key: _plain(values[row]) for key, values in numbers.items()}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _plain(value: float) -> float | None:
    """A number as JSON has it."""
    return None if math.isnan(value) else value


def _file_of(rank: int) -> str:
    return f"completions-{rank:05d}.jsonl" if rank else FILE
