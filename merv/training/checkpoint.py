"""Checkpoints: what a run needs to go on as if nothing had happened, written beside the training.

    checkpoints/step-000100/   shards (torch.distributed.checkpoint), trainer_state.json, rng-<rank>.json
    checkpoints/latest         name of the newest complete one

A checkpoint is written under another name and becomes visible by one rename, so a partial one is never taken for a
whole one.  Shards can be read by another number of processes and another strategy.
"""

import json
import logging
import os
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from merv import runtime
from merv.errors import CheckpointError, RunStopped
from merv.training.randomness import random_state, set_random_state
from merv.training.safe_metadata import SafeReader
from merv.training.world import World

logger = logging.getLogger(__name__)

PARTIAL = ".partial"
TRAINED_ONLY = StateDictOptions(ignore_frozen_params=True, strict=False)


class Checkpointer:
    """Writes and reads the checkpoints of one run; every process of the run has one."""

    def __init__(self, folder: Path, world: World, *, keep_last: int = 2, asynchronous: bool = True) -> None:
        """Use `folder`; leftovers of an interrupted save are removed.

        Args:
            folder: the run's `checkpoints`.
            world: the processes; a group of their own keeps saving apart from training.
            keep_last: complete checkpoints to keep, at least 1.
            asynchronous: write in the background; only copying the state holds training up.  The copy's memory, as
                large as this process's share of the state, is kept from one save to the next.
        """
        self.folder = folder
        self.world = world
        self.keep_last = max(1, keep_last)
        self.asynchronous = asynchronous
        self._group: Any = dist.new_group(backend="gloo")
        # Without a stager of our own torch takes new memory for every copy, which costs several times the copying.
        pinned = runtime.is_accelerator(world.device)  # torch 2.15 can pin for CUDA alone; elsewhere it says so
        self._stager = DefaultStager(StagingOptions(pinned, False, False, pinned)) if asynchronous else None
        self._pending: tuple[int, Future[Any]] | None = None
        if world.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(f"*{PARTIAL}"):
                shutil.rmtree(leftover)
        world.barrier()

    def save(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, trainer_state: dict[str, Any]
    ) -> None:
        """Begin a checkpoint; one still being written is finished first.  A collective.

        Raises:
            RunStopped: writing failed; earlier checkpoints are whole.
        """
        self.finish()
        partial = self._path(step).with_name(self._path(step).name + PARTIAL)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            (partial / f"rng-{self.world.rank:05d}.json").write_text(json.dumps(random_state()))
            if self.world.rank == 0:
                (partial / "trainer_state.json").write_text(json.dumps({"step": step, **trainer_state}, indent=1))
            state, writer = _state(model, optimizer), dcp.FileSystemWriter(partial)
            if self.asynchronous:
                future: Any = dcp.async_save(
                    state, storage_writer=writer, process_group=self._group, async_stager=self._stager
                )
                self._pending = (step, future)
                return
            dcp.save(state, storage_writer=writer, process_group=self._group)
        except (OSError, CheckpointException) as error:
            raise self._failed(step, error) from error
        self._publish(step)

    def poll(self) -> None:
        """Publish a checkpoint whose writing has ended, without waiting."""
        if self._pending is not None and self._pending[1].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the checkpoint in work is complete.

        Raises:
            RunStopped: writing failed; earlier checkpoints are whole.
        """
        if self._pending is None:
            return
        (step, future), self._pending = self._pending, None
        try:
            future.result()
        except (OSError, CheckpointException) as error:
            raise self._failed(step, error) from error
        self._publish(step)

    def latest(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        return latest_checkpoint(self.folder)

    def load(self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Bring model, optimiser and random generators to a checkpoint; gives its trainer state.  A collective.

        Raises:
            CheckpointError: the checkpoint is damaged, or of a model with other tensors.
        """
        trainer_state = read_trainer_state(path)
        state = _state(model, optimizer)
        reader = SafeReader(path)
        reader.check({name: tensor.shape for part in state.values() for name, tensor in part.items()}, path)
        try:
            dcp.load(state, storage_reader=reader, process_group=self._group)
        except (OSError, CheckpointException, RuntimeError) as error:
            raise CheckpointError(f"{path} cannot be read: {_first_line(error)}; resume from another one") from error
        set_model_state_dict(model, state["model"], options=TRAINED_ONLY)
        _load_optimizer(model, optimizer, state["optimizer"])
        own = path / f"rng-{self.world.rank:05d}.json"
        if own.exists():
            set_random_state(json.loads(own.read_text()))
        else:
            logger.info("rank %d was not part of the checkpoint: its random numbers start afresh", self.world.rank)
        return trainer_state

    def _publish(self, step: int) -> None:
        """Make a written checkpoint visible; the collective that ended the writing says that all ranks are done."""
        if self.world.rank != 0:
            return
        final = self._path(step)
        try:
            if final.exists():  # saved again after a resume
                shutil.rmtree(final)
            os.replace(final.with_name(final.name + PARTIAL), final)
            pointer = self.folder / "latest.new"
            pointer.write_text(final.name)
            os.replace(pointer, self.folder / "latest")
        except OSError as error:
            raise self._failed(step, error) from error
        for old in complete_checkpoints(self.folder)[: -self.keep_last]:
            shutil.rmtree(old)
        logger.info("checkpoint %s", final)

    def _failed(self, step: int, error: BaseException) -> RunStopped:
        if self.world.rank == 0:
            shutil.rmtree(self._path(step).with_name(self._path(step).name + PARTIAL), ignore_errors=True)
        kept = self.latest()
        tail = f"{kept} is whole" if kept else "there is no earlier one"
        return RunStopped(
            f"checkpoint at step {step} cannot be written: {_first_line(error)}; {tail}; make room, resume"
        )

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}"


def complete_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run that are whole, oldest first."""
    whole = [p for p in folder.glob("step-*") if not p.name.endswith(PARTIAL) and (p / ".metadata").exists()]
    return sorted(whole, key=lambda path: int(path.name.removeprefix("step-")))


def latest_checkpoint(folder: Path) -> Path | None:
    """What `latest` names; the newest whole one when the pointer is missing."""
    pointer = folder / "latest"
    if pointer.exists():
        named = folder / pointer.read_text().strip()
        if (named / ".metadata").exists():
            return named
    whole = complete_checkpoints(folder)
    return whole[-1] if whole else None


def read_trainer_state(path: Path) -> dict[str, Any]:
    """The trainer state of a checkpoint.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        return json.loads((path / "trainer_state.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is no complete checkpoint: {error}; name another one") from error


def _state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """Tensors of what learns and of its optimiser, named alike under every strategy; no other objects."""
    states = get_optimizer_state_dict(model, optimizer)["state"]
    return {
        "model": get_model_state_dict(model, options=TRAINED_ONLY),
        "optimizer": {f"{name}|{key}": t for name, entry in states.items() for key, t in entry.items()},  # type: ignore[union-attr]
    }


def _load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Any]) -> None:
    states: dict[str, dict[str, Any]] = {}
    for joined, tensor in tensors.items():
        name, key = joined.rsplit("|", 1)
        states.setdefault(name, {})[key] = tensor
    groups = get_optimizer_state_dict(model, optimizer)["param_groups"]
    set_optimizer_state_dict(model, optimizer, {"state": states, "param_groups": groups})  # type: ignore[dict-item]


def _first_line(error: BaseException) -> str:
    """The cause of an error in one line; of a collective failure the first process's."""
    if isinstance(error, CheckpointException) and error.failures:
        rank, (cause, _) = next(iter(error.failures.items()))
        return f"rank {rank}: {type(cause).__name__}: {cause}".splitlines()[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]
