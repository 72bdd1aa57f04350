"""Rank, world size, device, seeding and logging: the few facts about the process that other code asks for."""

import inspect
import logging
import os
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch


def rank() -> int:
    """Number of this process, 0 when alone (from torchrun's environment)."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes the run's files."""
    return rank() == 0


def device() -> torch.device:
    """The accelerator of this process (cuda, npu, ...), or the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return torch.device("cpu")
    return torch.device(found.type, local_rank())


def is_accelerator(device: torch.device) -> bool:
    """Whether copies to it can overlap with work, from memory that is page-locked."""
    return device.type not in ("cpu", "meta")


def ask(device: torch.device, question: str, *args: Any) -> Any:
    """What the device's module of torch (torch.cuda, torch.npu, ...) answers; None where it lacks the function.

    For what `torch.accelerator` does not tell, or not everywhere: memory figures of Ascend stand in torch.npu alone.
    """
    function = getattr(torch.get_device_module(device), question, None)
    return None if function is None else function(*args)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 itself: a slow emulation does not count.  One that cannot say is tried."""
    supported = getattr(torch.get_device_module(device), "is_bf16_supported", None)
    if supported is not None:
        told_apart = "including_emulation" in inspect.signature(supported).parameters
        return bool(supported(including_emulation=False) if told_apart else supported())
    try:
        one = torch.ones(1, 1, dtype=torch.bfloat16, device=device)
        return bool((one @ one).item() == 1)
    except RuntimeError:
        return False


def processor() -> str:
    """The name the processor gives itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def setup_logging(level: int = logging.INFO) -> None:
    """Log lines with time and rank; processes other than the first only warn."""
    prefix = f"[rank {rank()}] " if world_size() > 1 else ""
    logging.basicConfig(
        level=level if is_main() else logging.WARNING,
        format=f"%(asctime)s {prefix}%(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Within it a library logs errors alone: it would tell at length what our own line says."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def share(path: Path) -> None:
    """Give a file the usual rights: safetensors writes its files for their owner alone."""
    mask = os.umask(0o077)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
