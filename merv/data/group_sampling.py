"""Batches of rows of one kind, such as one role's: rows of different kinds take different paths through a model.

The order is that of VideoMind's sampler (https://github.com/yeliudev/VideoMind, videomind/train/custom_trainer.py;
BSD-3-Clause).
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from merv.data.batch_plan import BatchPlan
from merv.data.sampling import BatchSampler, shuffled_rows


class GroupedSampler(BatchSampler):
    """Batches whose rows are all of one kind, in random order.

    A kind's last batch is filled up with rows of that kind which occur again, so that every row is seen and batches
    divide among processes.  With `drop_incomplete` it is left out instead, as in VideoMind's, whose sampler counts
    those rows in its length all the same; here the length is what is drawn.
    """

    def __init__(
        self,
        kinds: Iterable[str],
        group_size: int,
        *,
        seed: int = 7,
        drop_incomplete: bool = False,
        lengths: Sequence[int] | None = None,
    ) -> None:
        """Plan over the rows in order.

        Args:
            kinds: The kind of each row.
            group_size: Rows of one optimiser step over all processes.
            seed: Epoch e is shuffled with seed + e.
            drop_incomplete: Leave out a kind's last batch when it is not full.
            lengths: Rough number of text tokens of each row: batches then have their longest row first, the batch
                with the longest of all comes first, and rows are dealt out so that processes take about as long.
                None counts all as equal, which keeps rows in the order they are drawn.

        Raises:
            ConfigError: there are no rows, the size is not positive, or nothing is left of the rows.
        """
        groups: defaultdict[str, array] = defaultdict(lambda: array("q"))
        for row, kind in enumerate(kinds):
            groups[kind].append(row)
        self.num_of_kind = {kind: len(rows) for kind, rows in groups.items()}
        self._groups = list(groups.values())
        if lengths is None:
            lengths = bytearray(b"\1" * sum(self.num_of_kind.values()))
        super().__init__(lengths, group_size, seed=seed, drop_last=drop_incomplete)
        self._check_not_empty()

    @property
    def num_batches(self) -> int:
        """Global batches of one epoch, with those that were filled up."""
        return sum(self._count(size) for size in self.num_of_kind.values())

    def global_batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch in order."""
        generator = self._generator(epoch)
        shuffled = (shuffled_rows(group, generator) for group in self._groups)
        return self._planned((batch for rows in shuffled for batch in self._cut(rows)), generator)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "num_of_kind": self.num_of_kind}
