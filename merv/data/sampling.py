"""Which rows share a batch: plans of whole epochs, from which every process takes its part.

A plan lists GLOBAL batches, the rows of one optimiser step over all processes, so that it is the same on any number of
processes; `rank_batches` then deals one of them out.  `SplitModalitySampler` gives the order of the sampler of LLaVA
and MERV (https://github.com/princetonvisualai/merv, merv/util/batching_utils.py; MIT), and goes on where that one
crashes: a modality with fewer rows than a batch, or no visual row at all.
"""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from merv.data.batch_plan import BatchPlan, cut, longest_in_front
from merv.errors import CheckpointError, ConfigError

VISUAL_TOKENS = 24 * 24
"""Length a visual row is counted to have beyond its text when the longest batch is put first."""


class BatchSampler(ABC):
    """Global batches of an epoch, and the place a run has reached in them."""

    def __init__(
        self, lengths: Sequence[int], global_batch_size: int, *, seed: int = 7, drop_last: bool = False
    ) -> None:
        """Plan over rows 0..len(lengths)-1.

        Args:
            lengths: Rough number of text tokens of each row.
            global_batch_size: Rows of one optimiser step over all processes.
            seed: Epoch e is shuffled with seed + e.
            drop_last: Leave out an incomplete batch; otherwise it is filled up with rows that occur again.

        Raises:
            ConfigError: there are no rows, or the batch size is not positive.
        """
        if not lengths:
            raise ConfigError("the dataset has no usable rows; look at its bad samples or name another one")
        if global_batch_size < 1:
            raise ConfigError(f"global_batch_size is {global_batch_size}; it must be at least 1")
        self.lengths = lengths
        self.global_batch_size = global_batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self.next_batch = 0

    @abstractmethod
    def global_batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch in order, each of `global_batch_size` rows, longest row first."""

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Global batches of one epoch."""

    def __len__(self) -> int:
        """Global batches of one epoch."""
        return self.num_batches

    def rank_batches(
        self, global_batch: Sequence[int], rank: int, world_size: int, per_device_batch_size: int
    ) -> list[list[int]]:
        """The micro-batches process `rank` makes of a global batch.

        Rows are dealt, longest first, to the process with the least text so far, so that all take about as long.

        Raises:
            ConfigError: the batch cannot be dealt out evenly.
        """
        share, rest = divmod(len(global_batch), world_size)
        if rest or share % per_device_batch_size:
            raise ConfigError(
                f"a global batch of {len(global_batch)} rows does not divide into {world_size} processes x "
                f"micro-batches of {per_device_batch_size}; change global_batch_size or per_device_batch_size"
            )
        mine = self._deal(global_batch, world_size)[rank]
        return [mine[i : i + per_device_batch_size] for i in range(0, share, per_device_batch_size)]

    def upcoming(self, rank: int, world_size: int, per_device_batch_size: int, *, epochs: int) -> Iterator[list[int]]:
        """Micro-batches of process `rank` from the present place to the end of epoch `epochs` - 1.

        Nothing moves: a loader may run ahead of the training, which tells of each step with `advance`.
        """
        first = self.next_batch
        for epoch in range(self.epoch, epochs):
            plan = self.global_batches(epoch)
            for place in range(first, len(plan)):
                yield from self.rank_batches(plan[place], rank, world_size, per_device_batch_size)
            first = 0

    def advance(self) -> None:
        """Note that one global batch has been trained on."""
        self.next_batch += 1
        if self.next_batch >= self.num_batches:
            self.epoch, self.next_batch = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """The place in the plan, and what the plan was made from."""
        return {"epoch": self.epoch, "next_batch": self.next_batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a saved place, without walking there.

        Raises:
            CheckpointError: the place belongs to another plan.
        """
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise CheckpointError(
                    f"the checkpoint's batch plan has {key} {state.get(key)}, this run {value}; "
                    "resume with the same data and batch settings, or start anew"
                )
        self.epoch, self.next_batch = int(state["epoch"]), int(state["next_batch"])

    def _identity(self) -> dict[str, Any]:
        return {
            "sampler": type(self).__name__,
            "num_rows": len(self.lengths),
            "global_batch_size": self.global_batch_size,
            "seed": self.seed,
            "drop_last": self.drop_last,
        }

    def _deal(self, batch: Sequence[int], num_buckets: int) -> list[list[int]]:
        """Spread rows over buckets of equal size, each to the open one with the smallest sum of lengths."""
        size = len(batch) // num_buckets
        buckets: list[list[int]] = [[] for _ in range(num_buckets)]
        sums = [0] * num_buckets
        for row in batch:
            _, bucket = min((sums[b], b) for b in range(num_buckets) if len(buckets[b]) < size)
            buckets[bucket].append(row)
            sums[bucket] += self.lengths[row]
        return buckets

    def _generator(self, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed + epoch)

    def _cut(self, rows: np.ndarray) -> Iterator[list[int]]:
        """Rows in global batches."""
        return cut(rows, self.global_batch_size, drop_last=self.drop_last)

    def _planned(self, batches: Iterable[list[int]], generator: torch.Generator) -> BatchPlan:
        """The batches in random order, longest rows first, and the one with the longest of all in front."""
        plan = BatchPlan(self.global_batch_size, batches)
        places = torch.randperm(len(plan), generator=generator).tolist()
        plan = BatchPlan(self.global_batch_size, (self._longest_first(plan[place]) for place in places))
        lengths = [max(map(self._full_length, batch)) for batch in plan]
        return plan.in_order(longest_in_front(list(range(len(plan))), lengths))

    def _full_length(self, row: int) -> int:
        """By which the batch with the longest row is found."""
        return self.lengths[row]

    def _longest_first(self, batch: list[int]) -> list[int]:
        return sorted(batch, key=lambda row: self.lengths[row], reverse=True)

    def _count(self, num_rows: int) -> int:
        whole, rest = divmod(num_rows, self.global_batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    def _check_not_empty(self) -> None:
        if self.num_batches == 0:
            raise ConfigError(
                f"{len(self.lengths)} rows fill no batch of {self.global_batch_size} and drop_last is on; "
                "lower global_batch_size or keep the last batch"
            )


class SplitModalitySampler(BatchSampler):
    """Batches that are wholly visual or wholly text, in random order, the one with the longest row first.

    The longest comes first so that a run which does not fit the memory says so at once.
    """

    def __init__(
        self,
        modality_lengths: Sequence[tuple[bool, int]],
        global_batch_size: int,
        *,
        seed: int = 7,
        drop_last: bool = False,
    ) -> None:
        """Plan over rows given as (has a video or an image, rough number of text tokens)."""
        lengths = array("q", (n for _, n in modality_lengths))
        super().__init__(lengths, global_batch_size, seed=seed, drop_last=drop_last)
        self.is_visual = bytearray(visual for visual, _ in modality_lengths)
        self._groups = [array("q", (i for i, v in enumerate(self.is_visual) if v == visual)) for visual in (1, 0)]
        self._check_not_empty()

    @property
    def num_batches(self) -> int:
        """Global batches of one epoch, with those that were filled up."""
        return sum(self._count(len(group)) for group in self._groups)

    def global_batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch in order, each sorted by length, longest row first."""
        generator = self._generator(epoch)
        shuffled = [shuffled_rows(group, generator) for group in self._groups]
        return self._planned((batch for rows in shuffled for batch in self._cut(rows)), generator)

    def _full_length(self, row: int) -> int:
        return self.lengths[row] + (VISUAL_TOKENS if self.is_visual[row] else 0)


class LengthGroupedSampler(BatchSampler):
    """Batches of rows of like length: rows are shuffled, sorted within windows, cut, and the batches shuffled."""

    def __init__(
        self,
        lengths: Sequence[int],
        global_batch_size: int,
        *,
        seed: int = 7,
        drop_last: bool = False,
        window_batches: int = 32,
    ) -> None:
        """Plan with windows of `window_batches` global batches; 1 leaves the grouping to chance."""
        super().__init__(lengths, global_batch_size, seed=seed, drop_last=drop_last)
        if window_batches < 1:
            raise ConfigError(f"window_batches is {window_batches}; it must be at least 1")
        self.window_batches = window_batches
        self._check_not_empty()

    @property
    def num_batches(self) -> int:
        """Global batches of one epoch."""
        return self._count(len(self.lengths))

    def global_batches(self, epoch: int) -> BatchPlan:
        """The batches of an epoch in order, the one with the longest row first."""
        generator = self._generator(epoch)
        rows = shuffled_rows(np.arange(len(self.lengths)), generator)
        window = self.window_batches * self.global_batch_size
        for start in range(0, len(rows), window):
            rows[start : start + window] = self._longest_first(rows[start : start + window].tolist())
        return self._planned(self._cut(rows), generator)

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "window_batches": self.window_batches}


def shuffled_rows(rows: Any, generator: torch.Generator) -> np.ndarray:
    """Rows, an array of 8-byte numbers, in random order: the order of torch.randperm."""
    return np.frombuffer(rows, dtype=np.int64)[torch.randperm(len(rows), generator=generator).numpy()]
