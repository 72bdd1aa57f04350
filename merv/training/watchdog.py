"""Notices that training stands still and names the process the others wait for.

Each process tells a torch.distributed store where it is; when its own place has not changed for a while it reads all
of them.  A store answers although a collective hangs, which is exactly when the question is asked.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from torch.distributed import DistError, Store

logger = logging.getLogger(__name__)

Phase = Literal["data", "rollouts", "forward", "backward", "optimiser", "checkpoint"]

_ORDER = {phase: place for place, phase in enumerate(get_args(Phase))}

_HINTS: dict[str, str] = {
    "data": "a file that hangs in decoding, slow storage, or dead loader workers",
    "rollouts": "a reward that does not return, or answers longer than the others'",
    "forward": "a collective or a kernel that does not end",
    "backward": "a collective or a kernel that does not end",
    "optimiser": "a collective or a kernel that does not end",
    "checkpoint": "slow or full storage",
}


@dataclass(frozen=True)
class Beat:
    """Where a process was at `time` (seconds since the epoch, of its own machine)."""

    step: int
    phase: Phase
    time: float

    @property
    def place(self) -> tuple[int, int]:
        """What tells who is behind: the step, then how far in it."""
        return self.step, _ORDER[self.phase]


class Watchdog:
    """A thread beside training that logs one line, on one process, when nothing has moved for `timeout_s` seconds.

        with Watchdog(store, rank=rank, world_size=world_size, timeout_s=300) as watchdog:
            watchdog.beat(step, "data")

    Alone (world size 1) it needs no store.  The first beat arms it, so loading a model may take its time.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        rank: int,
        world_size: int,
        timeout_s: float,
        on_stall: Callable[[str], None] | None = None,
        poll_s: float | None = None,
    ) -> None:
        """Make a watchdog; `start()` or a `with` block sets it going.

        Args:
            store: reachable from all processes, such as the TCPStore of the process group.
            rank: number of this process.
            world_size: number of processes.
            timeout_s: seconds without a beat that count as standing still; longer than the longest honest step.
            on_stall: called with the line on every process that notices, in the watchdog's thread.
            poll_s: seconds between looks, and between writes to the store; None: a quarter of the timeout, 5 at most.
        """
        assert world_size == 1 or store is not None, "several processes need a store to compare notes"
        # A clone has a connection of its own: a blocking call of the main thread cannot hold it up.
        self._store = None if store is None else store.clone()
        self.rank = rank
        self.world_size = world_size
        self.timeout_s = timeout_s
        self._on_stall = on_stall
        self._poll_s = min(timeout_s / 4, 5.0) if poll_s is None else poll_s
        self._beat: Beat | None = None
        self._published: Beat | None = None
        self._reported: Beat | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="merv-watchdog", daemon=True)

    def beat(self, step: int, phase: Phase) -> None:
        """Say where this process is; costs an assignment, the thread does the writing."""
        self._beat = Beat(step, phase, time.time())

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; returns once the thread has ended, or after ten seconds when the store does not answer."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._ended.wait(self._poll_s):
            try:
                self._look()
            except DistError as error:
                logger.warning(
                    "watchdog of rank %d ends: the store does not answer (%s); the process that keeps it "
                    "has probably ended",
                    self.rank,
                    str(error).splitlines()[0],
                )
                return

    def _look(self) -> None:
        beat = self._beat
        if beat is None:
            return
        self._publish(beat)
        now = time.time()
        if now - beat.time < self.timeout_s or beat is self._reported:
            return
        self._reported = beat
        beats = self._read_all(beat)
        message = describe_stall(beats, now=now)
        if self._is_first_to_report(beats):
            logger.error("%s", message)
        if self._on_stall is not None:
            self._on_stall(message)

    def _publish(self, beat: Beat) -> None:
        if self._store is not None and beat is not self._published:
            self._store.set(_key(self.rank), json.dumps([beat.step, beat.phase, beat.time]))
            self._published = beat

    def _read_all(self, own: Beat) -> list[Beat | None]:
        """Everybody's last beat; None for a process that has not begun (asking for its key would block)."""
        if self._store is None:
            return [own]
        beats: list[Beat | None] = []
        for rank in range(self.world_size):
            key = _key(rank)
            beats.append(Beat(*json.loads(self._store.get(key))) if self._store.check([key]) else None)
        return beats

    def _is_first_to_report(self, beats: Sequence[Beat | None]) -> bool:
        """Claim the stall by the place that is furthest behind, which every process reads alike."""
        if self._store is None:
            return True
        place = min(beat.place if beat is not None else (-1, -1) for beat in beats)
        return self._store.add(f"merv/watchdog/stall/{place[0]}/{place[1]}", 1) == 1


def describe_stall(beats: Sequence[Beat | None], *, now: float) -> str:
    """One line: which ranks are behind, where, since when and where the others are."""
    missing = [rank for rank, beat in enumerate(beats) if beat is None]
    begun = {rank: beat for rank, beat in enumerate(beats) if beat is not None}
    assert begun, "a stall is noticed by a process that has begun"
    ahead = max(beat.place for beat in begun.values())
    if missing:
        return f"training stands still: {_ranks(missing)} not begun; {_waiting(ahead)}"
    behind = {rank: beat for rank, beat in begun.items() if beat.place == min(b.place for b in begun.values())}
    first = next(iter(behind.values()))
    age = now - min(beat.time for beat in behind.values())
    where = f"at step {first.step} in {first.phase} for {age:.0f} s"
    if len(begun) == 1:
        return f"training stands still {where}; look for {_HINTS[first.phase]}"
    if len(behind) == len(begun):
        return f"training stands still: all {len(begun)} ranks are {where}; look for {_HINTS[first.phase]}"
    verb = "is" if len(behind) == 1 else "are"
    return (
        f"training stands still: {_names(list(behind))} {verb} {where}; {_waiting(ahead)}; "
        f"look for {_HINTS[first.phase]}"
    )


def _waiting(place: tuple[int, int]) -> str:
    step, order = place
    return f"the others wait at step {step} in {get_args(Phase)[order]}"


def _ranks(ranks: Sequence[int]) -> str:
    return f"{_names(ranks)} {'has' if len(ranks) == 1 else 'have'}"


def _names(ranks: Sequence[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"


def _key(rank: int) -> str:
    return f"merv/watchdog/beat/{rank}"
