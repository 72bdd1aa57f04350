"""The global batches of an epoch, four bytes a row: lists of a million Python numbers take ten times as much."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np


class BatchPlan(Sequence[list[int]]):
    """Batches of one size, each a list of rows when it is asked for."""

    def __init__(self, batch_size: int, batches: Iterable[Sequence[int]] = ()) -> None:
        """Hold `batches`, each of `batch_size` rows."""
        self.batch_size = batch_size
        self._rows = array("I")
        for batch in batches:
            assert len(batch) == batch_size, f"a batch of {len(batch)} rows in a plan of {batch_size}"
            self._rows.extend(batch)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._rows) // self.batch_size

    def __getitem__(self, index: Any) -> Any:
        """The rows of a batch, or a list of several batches."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start = range(len(self))[index] * self.batch_size
        return self._rows[start : start + self.batch_size].tolist()

    def __eq__(self, other: object) -> bool:
        """Whether another plan, or a list of lists, has the same rows in the same order."""
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(list.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # a plan is filled after it was made

    def in_order(self, places: Iterable[int]) -> "BatchPlan":
        """The batches at `places`."""
        return BatchPlan(self.batch_size, (self[place] for place in places))


def cut(rows: np.ndarray, size: int, *, drop_last: bool) -> Iterator[list[int]]:
    """Batches of `size` rows; the last is filled from the first, again and again if need be, or dropped."""
    first: list[int] = []
    for start in range(0, len(rows), size):
        batch = rows[start : start + size].tolist()
        first = first or batch
        missing = size - len(batch)
        if missing and drop_last:
            return
        yield batch + list(islice(cycle(first), missing))


def longest_in_front(places: list[int], lengths: Sequence[int]) -> list[int]:
    """Places of batches in an order with the first one swapped for the first of the longest."""
    longest = lengths.index(max(lengths))
    places[0], places[longest] = places[longest], places[0]
    return places
