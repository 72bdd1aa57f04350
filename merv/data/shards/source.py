"""Rows of shards as a dataset: 24 bytes a row in memory, a row parsed when it is asked for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from merv.data.dataset import Source
from merv.data.ledger import BadRow
from merv.data.sample import Sample
from merv.data.shards.fetch import Remote
from merv.data.shards.index import read_line
from merv.data.shards.listing import Listed


class ShardSource(Source):
    """The rows of shards: of each folder in the order of the dataset it was made of, where numbers tell it."""

    def __init__(self, name: str, listed: Sequence[Listed]) -> None:
        """Take in the indexes; no row is parsed.

        Args:
            name: In reports.
            listed: At least one shard.
        """
        headers = [each.index.header for each in listed]
        numbers = np.concatenate([np.asarray(header.numbers, np.int64) for header in headers])
        shards = np.repeat(np.arange(len(listed), dtype=np.int32), [header.rows for header in headers])
        folders = list(dict.fromkeys(each.folder for each in listed))
        places = np.asarray([folders.index(each.folder) for each in listed], np.int32)[shards]
        order = np.concatenate([_in_order(np.flatnonzero(places == place), numbers) for place in range(len(folders))])
        self._listed = [(each.shard, each.index.path) for each in listed]
        self._shards = shards[order]
        self._starts = np.concatenate([each.index.starts for each in listed])[order]
        self._sizes = np.concatenate([each.index.sizes for each in listed])[order].astype(np.int32)
        told = len(np.unique(numbers)) == len(numbers)  # not so of several datasets
        self._numbers = numbers[order] if told else np.arange(len(numbers))
        bad = [_bad_row(name, each, row) for each in listed for row in each.index.header.bad]
        super().__init__(name, (), bad, files=[each.index.path for each in listed])

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._starts)

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`; its shard need not have been fetched.

        Raises:
            ConfigError: the index is another than when it was read.
        """
        shard, path = self._listed[self._shards[index]]
        line = read_line(path, int(self._starts[index]), int(self._sizes[index]))
        return shard.sample(line["row"], line["bytes"], dataset=self.name, number=int(self._numbers[index]))

    def ready(self, index: int) -> Sample:
        """The sample at `index`, once its shard is on the disk.

        Raises:
            ConfigError: the shard cannot be fetched.
        """
        sample = self[index]
        shard, _ = self._listed[self._shards[index]]
        if sample.media and isinstance(shard.bringer, Remote):
            shard.bringer.fetch(shard.path)
        return sample

    def origin(self, index: int) -> tuple[str, int]:
        """Dataset name, and the row's number in the dataset the shards were made of."""
        return self.name, int(self._numbers[index])


def _in_order(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Rows of one folder by their numbers; as they come where these are not those of one dataset."""
    own = numbers[rows]
    return rows[np.argsort(own)] if len(np.unique(own)) == len(own) else rows


def _bad_row(name: str, listed: Listed, row: dict[str, Any]) -> BadRow:
    shard: Path = listed.shard.path
    return BadRow(name, int(row["row"]), str(row["id"]), f"{shard}:{row['id']}", str(row["reason"]))
