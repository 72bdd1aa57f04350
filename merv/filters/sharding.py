"""Filters under torchrun: every process takes its share of a list, the first one writes what all have found.

    with join_shards() as shard:
        paths = shard.first(lambda: find_images(folder))
        with shard.writing(out) as partial:
            results = shard.gather([score(path) for path in shard.take(paths)])
            if results is not None:
                write(partial, results)

Shares are taken in turn, so that reports are the same with any number of processes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self, TypeVar

import torch.distributed as dist

from merv import runtime
from merv.errors import MervError
from merv.space import PARTIAL, replaced
from merv.training.world import join_world

T = TypeVar("T")

_NOTHING = object()


@dataclass(frozen=True)
class Shard:
    """This process's part of the work."""

    rank: int
    size: int

    @classmethod
    def of_world(cls) -> Self:
        """Of torchrun's environment; one alone has everything."""
        return cls(runtime.rank(), runtime.world_size())

    def take(self, items: Sequence[T]) -> list[T]:
        """This process's items: every `size`-th one."""
        return list(items[self.rank :: self.size])

    def gather(self, results: Sequence[T]) -> list[T] | None:
        """All results in the order of the list that was taken, on the first process; None on others.  A collective.

        Args:
            results: one for each item this process took.
        """
        if self.size == 1:
            return list(results)
        self._all_well()
        parts: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(list(results), parts)
        if parts is None:
            return None
        turns = zip_longest(*parts, fillvalue=_NOTHING)
        return [result for turn in turns for result in turn if result is not _NOTHING]

    def first(self, make: Callable[[], T]) -> T:
        """What the first process makes, on all of them.  A collective."""
        if self.size == 1:
            return make()
        made = [make() if self.rank == 0 else None]
        self._all_well()
        dist.broadcast_object_list(made, src=0)
        return made[0]  # type: ignore[return-value]

    @contextmanager
    def writing(self, out: Path, overwrite: bool = False) -> Iterator[Path]:
        """A folder all processes write into, beside `out`, whose place it takes when all are done.  A collective.

        Raises:
            ConfigError: something stands at `out`, and `overwrite` is False.
        """
        if self.rank:
            self._all_well()  # the folder is there
            yield out.with_name(out.name + PARTIAL)
            self._all_well()
            return
        with replaced(out, overwrite) as partial:
            self._all_well()
            yield partial
            self._all_well()

    def _all_well(self) -> None:
        """Wait for all processes; where one has failed, which tells why, end without a word."""
        if self.size > 1 and any(_failures(False)):
            time.sleep(1.0)  # torchrun ends all when one has ended: the one with the reason first
            raise SystemExit(2)


@contextmanager
def join_shards() -> Iterator[Shard]:
    """Join the other processes of torchrun, or be alone, until the block ends.

    What a user can cause, where it happens to one process, ends them all, and that one tells it.
    """
    shard = Shard.of_world()
    if shard.size == 1:
        yield shard
        return
    with join_world():
        try:
            yield shard
        except (MervError, OSError):
            _failures(True)
            raise


def _failures(own: bool) -> list[Any]:
    """Whether each process has failed; a collective that stands before every other one."""
    failures: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(failures, own)
    return failures
