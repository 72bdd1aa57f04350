"""From a plan of rows to batches: prepared by worker processes, delivered in the order of the plan.

What a run sees depends on the plan alone, not on the number of workers or on which of them was faster: a bad row is
replaced by the row after it, and bad rows are reported with the batch they belong to.
"""

import multiprocessing
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from merv.data.dataset import PreparedDataset
from merv.data.ledger import BadRow, BadSampleLedger
from merv.data.sample import Batch, Example
from merv.data.workers import WorkerPool
from merv.errors import ConfigError, RunStopped, SampleError


class Collate(Protocol):
    """Joins examples; `indices` are their rows in the dataset."""

    def __call__(self, examples: Sequence[Example], *, indices: Sequence[int]) -> Batch:
        """Make the batch."""


@dataclass
class _Slot:
    """One place of a batch: the row tried now, and those that were bad before it."""

    index: int
    example: Example | None = None
    bad: list[BadRow] = field(default_factory=list)


@dataclass
class _Delivery:
    """What reaches the consumer for one batch, or the end, or the error that ended the work."""

    batch: Batch | None = None
    slots: list[_Slot] = field(default_factory=list)
    error: BaseException | None = None


class Loader(Iterator[Batch]):
    """Iterates over batches; close it, or use it in a `with`, so that its processes end."""

    def __init__(
        self,
        dataset: PreparedDataset,
        collate: Collate,
        batches: Iterable[Sequence[int]],
        *,
        num_workers: int = 2,
        prefetch_batches: int = 2,
        decode_deadline_s: float = 60.0,
        pin_memory: bool = False,
        ledger: BadSampleLedger | None = None,
        max_replacements: int = 16,
        max_deaths: int = 10,
        max_worker_gb: float | None = None,
    ) -> None:
        """Start the workers.

        Args:
            dataset: The rows and what makes an example of one.
            collate: Joins the examples of a batch.
            batches: Lists of rows, one a batch; read as the work goes on.
            num_workers: Processes that prepare examples.  0 prepares them in this process: nothing is fetched ahead
                and a file that hangs, hangs the run.
            prefetch_batches: Batches in work or ready beside the one in use.
            decode_deadline_s: Seconds one example may take; then its worker is killed and the row is bad.
            pin_memory: Put batches into page-locked memory.
            ledger: Account of bad rows; by default the first one raises.
            max_replacements: Bad rows one after the other before the run is stopped.
            max_deaths: Workers that may die one after the other before the run is stopped.
            max_worker_gb: Memory beyond which a worker is replaced, in GB; None never does.

        Raises:
            ConfigError: a number is out of range, or the dataset's `prepare` cannot travel to a worker.
        """
        if num_workers < 0 or prefetch_batches < 1 or decode_deadline_s <= 0:
            raise ConfigError(
                f"loader: num_workers {num_workers} must be >= 0, prefetch_batches {prefetch_batches} >= 1 and "
                f"decode_deadline_s {decode_deadline_s} > 0"
            )
        self.dataset = dataset
        self.collate = collate
        self.pin_memory = pin_memory
        self.ledger = ledger if ledger is not None else BadSampleLedger()
        self.max_replacements = max_replacements
        self.data_wait = 0.0
        """Seconds the consumer waited for the last batch."""
        self._plan = iter(batches)
        self._closed = False
        self._crew: _Crew | None = None
        if num_workers:
            pool = WorkerPool(
                dataset.prepare,
                num_workers,
                deadline_s=decode_deadline_s,
                max_deaths=max_deaths,
                max_worker_bytes=None if max_worker_gb is None else int(max_worker_gb * 1e9),
            )
            self._crew = _Crew(self, pool, prefetch_batches)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._crew.pool.pids if self._crew is not None else []

    def __next__(self) -> Batch:
        """The next batch of the plan.

        Raises:
            SampleError: a row was bad and the ledger's policy is `raise`.
            RunStopped: too many rows were bad, or too many workers died.
            WorkerError: the dataset's `prepare` has a fault.
        """
        start = time.perf_counter()
        if self._closed:
            raise StopIteration
        delivery = self._crew.take() if self._crew is not None else self._make_here()
        self.data_wait = time.perf_counter() - start
        try:
            self._account(delivery)
            if delivery.error is not None:
                raise delivery.error
        except BaseException:
            self.close()
            raise
        if delivery.batch is None:
            self.close()
            raise StopIteration
        return delivery.batch

    def close(self) -> None:
        """End the workers; iterating gives nothing afterwards."""
        self._closed = True
        if self._crew is not None:
            self._crew.close()

    def __enter__(self) -> "Loader":
        """The loader itself."""
        return self

    def __exit__(self, *exception: Any) -> None:
        """Close."""
        self.close()

    def _account(self, delivery: _Delivery) -> None:
        """Tell the ledger, in the order of the plan."""
        for slot in delivery.slots:
            for row in slot.bad:
                self.ledger.bad(row)
        if delivery.batch is not None:
            self.ledger.good(len(delivery.slots))

    def _make_here(self) -> _Delivery:
        indices = next(self._plan, None)
        if indices is None:
            return _Delivery()
        slots = [_Slot(index) for index in indices]
        try:
            for slot in slots:
                while slot.example is None:
                    self._try_here(slot)
        except RunStopped as error:
            return _Delivery(slots=slots, error=error)
        return self._deliver(slots)

    def _try_here(self, slot: _Slot) -> None:
        try:
            slot.example = self.dataset[slot.index]
        except SampleError as error:
            self._replace(slot, str(error))
        except MemoryError:
            self._replace(slot, "out of memory")

    def _replace(self, slot: _Slot, reason: str) -> None:
        """Note that the slot's row is bad and go to the next one."""
        slot.bad.append(self.dataset.bad_row(slot.index, reason))
        if len(slot.bad) > self.max_replacements:
            raise RunStopped(f"{len(slot.bad)} rows one after the other are bad, the last one is {slot.bad[-1]}")
        slot.index = self.dataset.replacement(slot.index)

    def _deliver(self, slots: list[_Slot]) -> _Delivery:
        examples = [slot.example for slot in slots if slot.example is not None]
        batch = self.collate(examples, indices=[slot.index for slot in slots])
        return _Delivery(batch.pin_memory() if self.pin_memory else batch, slots)


class _Crew:
    """The thread that keeps the workers busy and puts their results in order."""

    def __init__(self, loader: Loader, pool: WorkerPool, prefetch_batches: int) -> None:
        self.loader = loader
        self.pool = pool
        self.window = prefetch_batches
        self._ready: queue.Queue[_Delivery] = queue.Queue()
        self._wake_receiver, self._wake_sender = multiprocessing.Pipe(duplex=False)
        self._stopped = False
        self._taken = 0
        self._begun = 0
        self._exhausted = False
        self._open: deque[list[_Slot]] = deque()
        self._waiting: deque[_Slot] = deque()
        self._running: dict[int, _Slot] = {}
        self._num_tasks = 0
        self._thread = threading.Thread(target=self._run, name="merv-loader", daemon=True)
        self._thread.start()

    def take(self) -> _Delivery:
        """The next delivery; waits for it."""
        delivery = self._ready.get()
        self._taken += 1
        self._wake()
        return delivery

    def close(self) -> None:
        """Stop the thread and the processes."""
        if self._stopped:
            return
        self._stopped = True
        self._wake()
        self._thread.join(timeout=5)
        if self._thread.is_alive():  # stuck in the pipe of a worker that stands still
            self.pool.kill()
            self._thread.join(timeout=5)

    def _wake(self) -> None:
        self._wake_sender.send_bytes(b"")

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._begin_batches()
                self._hand_out()
                if self._exhausted and not self._open:
                    self._ready.put(_Delivery())
                    return
                for outcome in self.pool.poll(self._wake_receiver):
                    self._note(outcome.task, outcome.value, outcome.bad)
                while self._wake_receiver.poll():
                    self._wake_receiver.recv_bytes()
                self._finish_batches()
        except BaseException as error:  # whatever it is, the consumer must hear of it instead of waiting
            tried = [slot for slots in self._open for slot in slots] if isinstance(error, RunStopped) else []
            self._ready.put(_Delivery(slots=tried, error=error))
        finally:
            self.pool.close()

    def _begin_batches(self) -> None:
        while not self._exhausted and self._begun - self._taken < self.window:
            indices = next(self.loader._plan, None)
            if indices is None:
                self._exhausted = True
                return
            slots = [_Slot(index) for index in indices]
            self._begun += 1
            self._open.append(slots)
            self._waiting.extend(slots)

    def _hand_out(self) -> None:
        while self._waiting and self.pool.num_idle:
            slot = self._waiting.popleft()
            self._running[self._num_tasks] = slot
            self.pool.submit(self._num_tasks, self.loader.dataset.source.ready(slot.index))
            self._num_tasks += 1

    def _note(self, task: int, value: Any, bad: str | None) -> None:
        slot = self._running.pop(task)
        if bad is None:
            slot.example = value
            return
        self.loader._replace(slot, bad)
        self._waiting.appendleft(slot)  # an early batch waits for it

    def _finish_batches(self) -> None:
        while self._open and all(slot.example is not None for slot in self._open[0]):
            self._ready.put(self.loader._deliver(self._open.popleft()))


def build_loader(
    dataset: PreparedDataset, collate: Callable[..., Batch], batches: Iterable[Sequence[int]], **options: Any
) -> Loader:
    """A `Loader`; `options` are its keyword arguments."""
    return Loader(dataset, collate, batches, **options)
