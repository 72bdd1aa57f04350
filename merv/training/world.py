"""The processes of a run: joining them, and the few things they tell one another beside gradients."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from merv import runtime
from merv.errors import MervError


@dataclass(frozen=True)
class World:
    """The process group of a run; one process alone has one too."""

    rank: int
    size: int
    device: torch.device
    store: dist.Store | None
    """Where processes can leave notes while a collective hangs; None when alone."""

    def sum(self, *values: float | Tensor) -> list[float]:
        """Sums over all processes, in float64; a collective.  Waits for the device once."""
        return self.total(*values).tolist()

    def total(self, *values: float | Tensor) -> Tensor:
        """The same, left on the device: the host does not wait.  -> (len(values),) float64."""
        numbers = torch.stack([self._on_device(value) for value in values])
        return numbers if self.size == 1 else self._rows(numbers).sum(0)

    def _rows(self, own: Tensor) -> Tensor:
        """Every process's numbers by rank: (n,) float64 -> (size, n)."""
        # Added up on each process: Ascend's HCCL gathers float64, but most of its devices cannot sum it.
        rows = own.new_empty((self.size, len(own)))
        dist.all_gather_into_tensor(rows.flatten(), own)
        return rows

    def _on_device(self, value: float | Tensor) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().to(self.device, torch.float64)
        return torch.full((), value, dtype=torch.float64, device=self.device)

    def gather(self, row: list[float]) -> list[list[float]]:
        """Every process's row of numbers, by rank; a collective."""
        if self.size == 1:
            return [row]
        return self._rows(torch.tensor(row, dtype=torch.float64, device=self.device)).tolist()

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()

    def together(self, error: MervError | None) -> None:
        """Go on only where no process has an error: one that has raises it, the others end silently.  A collective.

        Raises:
            MervError: `error`.
        """
        [failures] = self.sum(error is not None)
        if error is not None:
            raise error
        if failures:
            time.sleep(1.0)  # torchrun ends all when one has ended: the one with the reason first
            raise SystemExit(2)

    def share(self, text: str) -> str:
        """The first process's text, on every process; a collective."""
        if self.size == 1:
            return text
        box = [text]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]


@contextmanager
def join_world(timeout_s: float = 1800.0) -> Iterator[World]:
    """Join the other processes (torchrun's environment), or be alone, until the block ends.

    Args:
        timeout_s: seconds a collective may take before it is an error.
    """
    rank, size, device = runtime.rank(), runtime.world_size(), runtime.device()
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index)
    backend = (
        "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:{dist.get_default_backend_for_device(device)}"
    )
    timeout = timedelta(seconds=timeout_s)
    root: dist.Store = dist.HashStore() if size == 1 else _torchrun_store(rank, size, timeout)
    store = dist.PrefixStore(f"merv/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", root)
    dist.init_process_group(
        backend, store=dist.PrefixStore("group", store), rank=rank, world_size=size, timeout=timeout
    )
    try:
        yield World(rank, size, device, None if size == 1 else dist.PrefixStore("notes", store))
    finally:
        dist.destroy_process_group()


def _torchrun_store(rank: int, size: int, timeout: timedelta) -> dist.Store:
    """The store of torchrun's agent, or one that rank 0 opens when there is no agent."""
    has_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        world_size=size,
        is_master=rank == 0 and not has_agent,
        timeout=timeout,
        multi_tenant=True,
    )
