"""What one optimiser step measured: exact numbers of that step, summed over processes; nothing here is smoothed."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch

from merv import runtime
from merv.training.flops import mfu

logger = logging.getLogger(__name__)

Gather = Callable[[list[float]], list[list[float]]]
"""Every process's row of numbers, given this process's own; a collective, so all processes call it each step."""


def _alone(row: list[float]) -> list[list[float]]:
    return [row]


class StepMetrics:
    """Collects one optimiser step, its micro-batches included, and turns it into a row of metrics.

        with metrics.waiting():
            batch = next(batches)
        metrics.count(samples=..., text_tokens=..., visual_tokens=...)
        ...
        row = metrics.finish(loss=..., lr=..., grad_norm=...)

    The clock of a step runs from the end of the one before, so checkpoints and logging between steps show up unless
    `restart()` is called after them.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        dtype: torch.dtype = torch.bfloat16,
        gather: Gather = _alone,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.device = device
        self.device_name = device_name(device)
        self.dtype = str(dtype)
        self._gather = gather
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forget what was collected and start the clock of a step."""
        self._began = self._clock()
        self._waited = 0.0
        self._samples = self._text_tokens = self._visual_tokens = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in this block is waiting for data."""
        began = self._clock()
        try:
            yield
        finally:
            self._waited += self._clock() - began

    def count(self, *, samples: int, text_tokens: int, visual_tokens: int) -> None:
        """Add a micro-batch of this process; tokens without padding."""
        self._samples += samples
        self._text_tokens += text_tokens
        self._visual_tokens += visual_tokens

    def finish(
        self, *, loss: float, lr: float, grad_norm: float, bad_samples: int = 0, flops: float = 0.0
    ) -> dict[str, float]:
        """End the step and start the next; on every process, once the device has finished (`loss.item()` waits).

        Args:
            loss: mean over the target tokens of the whole step.
            lr: learning rate the step used.
            grad_norm: global gradient norm before clipping.
            bad_samples: bad samples this process has met since the run began.
            flops: model FLOPs of this process's share of the step; 0 when not counted.

        Returns:
            loss, lr, grad_norm, step_seconds, samples_per_second, tokens_per_second and its visual_ and text_ shares
            (all processes together), data_wait (0..1, of the process that waited longest), bad_samples,
            peak_memory_gib (of the fullest process), and mfu (0..1) where the device's peak is known.
        """
        seconds = max(self._clock() - self._began, 1e-9)
        own = [
            float(self._samples),
            float(self._text_tokens),
            float(self._visual_tokens),
            self._waited,
            float(bad_samples),
            peak_memory_gib(self.device),
            flops,
        ]
        rows = self._gather(own)
        samples, text, visual, waits, bad, memory, work = (list(column) for column in zip(*rows, strict=True))
        row = {
            "loss": loss,
            "lr": lr,
            "grad_norm": grad_norm,
            "step_seconds": seconds,
            "samples_per_second": sum(samples) / seconds,
            "tokens_per_second": (sum(text) + sum(visual)) / seconds,
            "visual_tokens_per_second": sum(visual) / seconds,
            "text_tokens_per_second": sum(text) / seconds,
            "data_wait": min(max(waits) / seconds, 1.0),
            "bad_samples": sum(bad),
            "peak_memory_gib": max(memory),
        }
        reached = mfu(sum(work) / len(rows), seconds, self.device_name, self.dtype) if sum(work) else None
        if reached is not None:
            row["mfu"] = reached
        self.restart()
        return row


class InputBoundNotice:
    """Says once whether steps wait for data or for the device, judged over a window of steps.

    The first steps fill the loader's queue and are left out.
    """

    def __init__(self, num_workers: int, *, threshold: float = 0.3, window: int = 20, skip: int = 2) -> None:
        self.num_workers = num_workers
        self.threshold = threshold
        self._recent: deque[tuple[float, float]] = deque(maxlen=window)
        self._skip = skip
        self._said: set[str] = set()

    def observe(self, row: dict[str, float]) -> None:
        """Take in a step's row; log when a full window gives a verdict that has not been given yet."""
        if self._skip > 0:
            self._skip -= 1
            return
        self._recent.append((row["data_wait"] * row["step_seconds"], row["step_seconds"]))
        if len(self._recent) == self._recent.maxlen:
            share = sum(waited for waited, _ in self._recent) / sum(seconds for _, seconds in self._recent)
            self._say(share)

    def _say(self, share: float) -> None:
        verdict = "input-bound" if share > self.threshold else "compute-bound"
        if verdict in self._said or "input-bound" in self._said:
            return
        self._said.add(verdict)
        steps = len(self._recent)
        if verdict == "compute-bound":
            logger.info("compute-bound: %.0f %% of the last %d steps went into waiting for data", 100 * share, steps)
            return
        logger.warning(
            "input-bound: %.0f %% of the last %d steps went into waiting for data; raise the number of loader workers "
            "(now %d a process, %d CPUs on this machine), or ask for fewer or smaller frames",
            100 * share,
            steps,
            self.num_workers,
            psutil.cpu_count() or 1,
        )


def device_name(device: torch.device) -> str:
    """The vendor's name of the device, such as "NVIDIA H100 80GB HBM3"; its type where torch has no name for it."""
    return device.type if device.type == "cpu" else str(runtime.ask(device, "get_device_name", device) or device.type)


def peak_memory_gib(device: torch.device) -> float:
    """Most memory the process has held on the device, in GiB; on a CPU what it holds now (resident set)."""
    if device.type == "cpu" or not torch.accelerator.is_available():
        return psutil.Process().memory_info().rss / 2**30
    held = runtime.ask(device, "max_memory_allocated", device)
    return (torch.accelerator.max_memory_allocated(device) if held is None else held) / 2**30
