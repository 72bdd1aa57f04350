"""Worker processes that can be killed for one file without harm to the others.

A video that hangs its decoder, or crashes it, takes one process with it.  Each worker therefore has a pipe of its own
and shares no memory (merv.data.pipes).
"""

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil
import torch

from merv.data.pipes import receive, send
from merv.data.sample import Sample
from merv.errors import ConfigError, RunStopped, SampleError

START_S = 300.0
"""Seconds a new worker may take until it is ready for its first sample."""


class WorkerError(RuntimeError):
    """A fault of the code that runs in a worker; the message carries the worker's traceback."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a value, or the reason why its sample is bad."""

    task: int
    value: Any = None
    bad: str | None = None


@dataclass(frozen=True)
class _Reply:
    """A worker's answer; `fault` is a traceback, `rss` the worker's memory in bytes."""

    value: Any = None
    bad: str | None = None
    fault: str | None = None
    rss: int = 0


class WorkerPool:
    """Processes that prepare samples, one at a time each; used by one thread."""

    def __init__(
        self,
        prepare: Callable[[Sample], Any],
        num_workers: int,
        *,
        deadline_s: float,
        max_deaths: int = 10,
        max_worker_bytes: int | None = None,
    ) -> None:
        """Start the processes.

        Args:
            prepare: What a worker does; it travels to the processes by pickle.
            num_workers: Number of processes.
            deadline_s: Seconds a sample may take before its worker is killed.
            max_deaths: Workers that may die one after the other, without a sample in between.
            max_worker_bytes: Memory beyond which a worker is replaced between two samples.

        Raises:
            ConfigError: `prepare` cannot be pickled.
        """
        try:
            self._program = pickle.dumps(prepare, protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{prepare!r} cannot travel to loader workers: {error}; define it at the top of a module, "
                "or set num_workers to 0"
            ) from error
        self.deadline_s = deadline_s
        self.max_deaths = max_deaths
        self.max_worker_bytes = max_worker_bytes
        self._deaths_in_a_row = 0
        self._workers = [_Worker(self._program) for _ in range(num_workers)]

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    @property
    def num_idle(self) -> int:
        """Workers that have started and are without a task."""
        return sum(worker.is_idle for worker in self._workers)

    def submit(self, task: int, sample: Sample) -> None:
        """Give a task to an idle worker."""
        worker = next(worker for worker in self._workers if worker.is_idle)
        worker.submit(task, sample, self.deadline_s)

    def poll(self, *others: Connection) -> list[Outcome]:
        """Wait for a worker, a deadline or one of `others`; give what was finished.

        Raises:
            WorkerError: a worker raised something else than `SampleError` or `MemoryError`.
            RunStopped: too many workers died one after the other.
        """
        patience = min(worker.deadline for worker in self._workers) - time.monotonic()
        pipes = [worker.pipe for worker in self._workers]
        ready = wait([*pipes, *others], None if patience == math.inf else max(0.0, patience))
        outcomes = [self._read(i) for i, worker in enumerate(self._workers) if worker.pipe in ready]
        for i, worker in enumerate(self._workers):
            if time.monotonic() > worker.deadline and not worker.pipe.poll():
                outcomes.append(self._bury(i, f"took longer than {self.deadline_s:g} s, its worker was killed"))
        return [outcome for outcome in outcomes if outcome is not None]

    def kill(self) -> None:
        """Kill every process, from whatever thread; `poll` and `close` notice."""
        for worker in self._workers:
            worker.kill()

    def close(self) -> None:
        """End every process and wait for it."""
        self.kill()
        for worker in self._workers:
            worker.end()

    def _read(self, i: int) -> Outcome | None:
        worker = self._workers[i]
        try:
            reply = worker.receive()
        except (EOFError, OSError):
            worker.end()
            return self._bury(i, f"its worker died: {worker.epitaph()}")
        if reply is None:  # it has started
            return None
        if reply.fault is not None:
            raise WorkerError(f"a loader worker failed:\n{reply.fault}")
        task, worker.task = worker.task, None
        assert task is not None
        self._deaths_in_a_row = 0
        if self.max_worker_bytes is not None and reply.rss > self.max_worker_bytes:
            self._replace(i)
        return Outcome(task, reply.value, reply.bad)

    def _bury(self, i: int, reason: str) -> Outcome | None:
        """Replace a worker that died or must; its task, if it had one, has a bad sample."""
        task = self._workers[i].task
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > self.max_deaths:
            raise RunStopped(
                f"{self._deaths_in_a_row} loader workers died one after the other, the last sample {reason}; "
                "look at the free memory and the media files, or run with num_workers 0"
            )
        self._replace(i)
        return None if task is None else Outcome(task, bad=reason)

    def _replace(self, i: int) -> None:
        self._workers[i].end()
        self._workers[i] = _Worker(self._program)


class _Worker:
    """The parent's side of one process."""

    def __init__(self, program: bytes) -> None:
        # forkserver: a clean process that has imported torch once, so that its children start in milliseconds.  fork
        # would copy locks held by this process's threads.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True, name="merv-loader")
        self.process.start()
        theirs.close()
        self.pid: int = self.process.pid or 0
        self.task: int | None = None
        self.deadline = time.monotonic() + START_S
        self._started = False
        with contextlib.suppress(OSError):  # a process that is already dead is noticed by poll()
            self.pipe.send_bytes(program)

    @property
    def is_idle(self) -> bool:
        return self._started and self.task is None

    def submit(self, task: int, sample: Sample, allowed_s: float) -> None:
        self.task = task
        self.deadline = time.monotonic() + allowed_s
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(pickle.dumps(sample, protocol=5))

    def receive(self) -> _Reply | None:
        """The worker's answer, or None for its sign that it has started."""
        reply = receive(self.pipe)
        self._started = True
        self.deadline = math.inf
        return reply

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        self.kill()
        self.process.join(timeout=10)
        self.pipe.close()

    def epitaph(self) -> str:
        code = self.process.exitcode
        if code == -signal.SIGKILL:
            return "it was killed, perhaps for want of memory"
        return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _serve(pipe: Connection) -> None:
    """Life of a worker: learn what to do, then prepare samples until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's affair
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_exit_with_parent, args=(parent.sentinel,), daemon=True).start()
    try:
        prepare = pickle.loads(pipe.recv_bytes())
        send(pipe, None)
        process = psutil.Process()
        while True:
            sample = pickle.loads(pipe.recv_bytes())
            send(pipe, _attempt(prepare, sample, process))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception:  # reported whatever it is: the parent raises it
        send(pipe, _Reply(fault=traceback.format_exc()))


def _attempt(prepare: Callable[[Sample], Any], sample: Sample, process: psutil.Process) -> _Reply:
    try:
        value = prepare(sample)
    except SampleError as error:
        return _Reply(bad=str(error))
    except MemoryError:
        return _Reply(bad="out of memory", rss=process.memory_info().rss)
    return _Reply(value=value, rss=process.memory_info().rss)


def _exit_with_parent(sentinel: int) -> None:
    """End this process, even in the middle of a sample, when the one it works for is gone."""
    wait([sentinel])
    os._exit(1)
