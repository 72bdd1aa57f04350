"""What tests of whole runs share: the words of a small run, what it left behind, and groups of processes."""

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self
from unittest import mock

import torch
from safetensors.torch import load_file
from torch.distributed import TCPStore

from merv.conf.parse import parse
from merv.runs.pretrain import pretrain
from merv.runs.pretrain_config import PretrainConfig


def image_size(pixels: int) -> list[str]:
    """Words that give the encoders of merv-tiny square frames of so many pixels."""
    names = ("tiny-frames", "tiny-coarse", "tiny-motion")
    return [word for name in names for word in (f"--model.backbone_options.{name}.image_size", str(pixels))]


FULL_SIZE = image_size(32)
GRACE_S = 5.0
"""Seconds the other processes may take to report when one has failed."""


def run_words(
    data: Sequence[str],
    root: Path,
    run_id: str,
    *more: str,
    stage: str = "align",
    strategy: str = "single",
    **options: Any,
) -> list[str]:
    """Command line of a small run; `options` are those of the stage, `more` are words taken as they are.

    The model is merv-tiny with frames of 16 pixels; `*FULL_SIZE` among `more` gives it its own 32.
    """
    field = f"--model.{stage.replace('-', '_')}"
    chosen = {"global_batch_size": 4, "per_device_batch_size": 4, "train_strategy": strategy, **options}
    words = [
        "--model.type",
        "merv-tiny",
        *data,
        "--stage",
        stage,
        "--run_id",
        run_id,
        "--run_root_dir",
        str(root),
        *image_size(16),
    ]
    words += ["--num_workers", "0", "--trackers", "[jsonl]", "--collective_timeout_s", "60", *more]
    return words + [word for name, value in chosen.items() for word in (f"{field}.{name}", str(value))]


def train(words: Sequence[str]) -> int:
    """Run the words in this process, on the CPU whatever the machine has, and leave logging to the test."""
    no_accelerator = mock.patch.object(torch.accelerator, "current_accelerator", return_value=None)
    with no_accelerator, mock.patch("merv.runtime.setup_logging"):
        return pretrain(parse(PretrainConfig, words))


def train_all(runs: Sequence[Sequence[str]]) -> list[int]:
    """Run several command lines one after the other; for `run_distributed`."""
    statuses = []
    for number, words in enumerate(runs):
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)  # each finds its own part of the store
        statuses.append(train(words))
    return statuses


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """Rows of a run's metrics that are whole."""
    path = run_dir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def course(run_dir: Path) -> list[tuple[int, float, float, float]]:
    """Step, loss, learning rate and gradient norm of every row."""
    return [(row["step"], row["loss"], row["lr"], row["grad_norm"]) for row in rows(run_dir)]


def losses(run_dir: Path) -> list[float]:
    """Losses of a run by step."""
    return [row["loss"] for row in rows(run_dir)]


def assert_same_weights(one: Path, other: Path) -> None:
    """Two runs ended with the same tensors, bit for bit."""
    first, second = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class ProcessGroup:
    """`world_size` processes that run `fn(*args)` with the environment torchrun gives, on the CPU.

    They come from multiprocessing's fork server, which has imported what they need (see conftest.py), so they start
    in milliseconds; this process keeps the store, as torchrun's agent does.
    """

    def __init__(self, fn: Callable[..., Any], *args: Any, world_size: int = 2) -> None:
        self._store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        context = multiprocessing.get_context("forkserver")
        self._pipes, self.processes = [], []
        for rank in range(world_size):
            ours, theirs = context.Pipe(duplex=False)
            environment = _environment(rank, world_size, self._store.port)
            process = context.Process(target=_child, args=(theirs, environment, fn, args), daemon=False)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self.processes.append(process)

    def send(self, number: signal.Signals, *ranks: int) -> None:
        """Send a signal to some processes, or to all."""
        for rank in ranks or range(len(self.processes)):
            os.kill(self.processes[rank].pid, number)

    def results(self, timeout_s: float = 120.0) -> list[Any]:
        """What the processes returned, by rank.

        Raises:
            AssertionError: a process failed, died or did not end in time; with its traceback.
        """
        replies: dict[int, tuple[bool, Any]] = {}
        deadline = time.monotonic() + timeout_s
        while len(replies) < len(self._pipes):
            open_pipes = {pipe: rank for rank, pipe in enumerate(self._pipes) if rank not in replies}
            ready = wait(list(open_pipes), max(0.0, deadline - time.monotonic()))
            for pipe in ready:
                replies[open_pipes[pipe]] = _receive(pipe)
            if any(not good for good, _ in replies.values()):
                deadline = min(deadline, time.monotonic() + GRACE_S)
            if not ready and time.monotonic() >= deadline:
                break
        self.close()
        missing = [f"rank {rank} did not end in time" for rank in range(len(self._pipes)) if rank not in replies]
        failed = [f"rank {rank}: {text}" for rank, (good, text) in sorted(replies.items()) if not good]
        assert not failed + missing, "\n".join(failed + missing)
        return [replies[rank][1] for rank in range(len(self._pipes))]

    def close(self) -> None:
        """End what still runs."""
        for process, pipe in zip(self.processes, self._pipes, strict=True):
            process.join(timeout=2)
            process.kill()
            process.join(timeout=10)
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_distributed(fn: Callable[..., Any], *args: Any, world_size: int = 2, timeout_s: float = 120.0) -> list[Any]:
    """What `fn(*args)` returns on each of `world_size` processes; their errors are raised here with their text."""
    with ProcessGroup(fn, *args, world_size=world_size) as group:
        return group.results(timeout_s)


def _environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }


def _child(pipe: Any, environment: dict[str, str], fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        reply = (True, fn(*args))
    except Exception:  # whatever it is, the test is to show it
        reply = (False, traceback.format_exc())
    pipe.send(reply)


def _receive(pipe: Any) -> tuple[bool, Any]:
    try:
        return pipe.recv()
    except EOFError:
        return False, "died without a word"
