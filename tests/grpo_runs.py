"""Small GRPO runs for the tests: their command lines, and a reward that tells answers of random models apart."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from helpers import run_words

from merv.conf.parse import parse
from merv.errors import MervError
from merv.runs.grpo import grpo
from merv.runs.grpo_config import GrpoRunConfig

PLUGIN = """
import os
import pathlib

COLOURS = {"red", "green", "blue", "yellow", "white", "purple", "cyan", "orange"}


def names_colours(completions, **columns):
    return [sum(word in COLOURS for word in text.split()) / 6 for text in completions]


async def variety(responses, references):
    return [len(set(text)) / 10 for text in responses]


def raises(completions, ids):
    raise OSError(f"no disk for {ids[0]}")


def breaks_off(completions, ids, trainer_state):
    if trainer_state.global_step == 2 and pathlib.Path(__file__).with_name("break").exists():
        raise OSError("broken off")
    return [len(set(text)) / 10 for text in completions]


def fails_on_the_second(completions, **columns):
    if os.environ.get("RANK") == "1":
        raise OSError("no disk")
    return [1.0] * len(completions)


def gives_nan(completions):
    return [float("nan")] * len(completions)


shape = "a ring"
"""


def write_plugin(folder: Path) -> Path:
    """A file with rewards."""
    path = folder / "plugin.py"
    path.write_text(PLUGIN)
    return path


def grpo_words(
    data: Sequence[str], root: Path, run_id: str, reward: str, *more: str, stage: str = "finetune", **options: Any
) -> list[str]:
    """Command line of a small run of merv-tiny; options are those of the stage."""
    own = ["--reward", reward, "--num_generations", "4", "--max_completion_length", "6", "--sampler", "length-grouped"]
    return run_words(data, root, run_id, *own, *more, stage=stage, **options)


def train_grpo(words: Sequence[str]) -> int:
    """Run the words in this process, on the CPU whatever the machine has, and leave logging to the test."""
    no_accelerator = mock.patch.object(torch.accelerator, "current_accelerator", return_value=None)
    with no_accelerator, mock.patch("merv.runtime.setup_logging"):
        return grpo(parse(GrpoRunConfig, words))


def how_it_ended(words: Sequence[str]) -> str:
    """The error a run ends with, as `train_grpo` meets it; for `run_distributed`."""
    try:
        return str(train_grpo(words))
    except (MervError, SystemExit) as error:
        return f"{type(error).__name__}: {error}"


def train_all_grpo(runs: Sequence[Sequence[str]]) -> list[int]:
    """Run several command lines one after the other; for `run_distributed`."""
    statuses = []
    for number, words in enumerate(runs):
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)  # each finds its own part of the store
        statuses.append(train_grpo(words))
    return statuses
