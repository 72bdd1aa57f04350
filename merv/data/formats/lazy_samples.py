"""Samples made anew from the rows of a file whenever they are asked for, and others that are held."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from merv.data.formats.row_file import RowFile
from merv.data.sample import Sample

SamplesOf = Callable[[int, Any], Iterable[Sample]]
"""Row number and row to samples; the same for the same row."""


class LazySamples(Sequence[Sample]):
    """Samples by row and place among those of the row: eight bytes each, whatever the row holds."""

    def __init__(self, rows: RowFile, samples_of: SamplesOf) -> None:
        """Hold none yet."""
        self._rows, self._samples_of = rows, samples_of
        self.numbers = array("I")
        """Row of each sample."""
        self._places = array("I")

    def add(self, number: int, samples: Sequence[Sample]) -> None:
        """Take in the samples of one more row."""
        self.numbers.extend([number] * len(samples))
        self._places.extend(range(len(samples)))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        """The sample at `index`, or a list of several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        number, place = self.numbers[index], self._places[index]
        return next(islice(self._samples_of(number, self._rows.row(number)), place, None))

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[place] for place in range(len(self)))


class HeldSamples(list[Sample]):
    """Samples kept as they are, of rows that cannot be read again one by one."""

    def __init__(self) -> None:
        """Hold none yet."""
        super().__init__()
        self.numbers = array("I")

    def add(self, number: int, samples: Sequence[Sample]) -> None:
        """Take in the samples of one more row."""
        self.numbers.extend([number] * len(samples))
        self.extend(samples)


class Picked(Sequence[Sample]):
    """Some of a sequence's samples, in the order of their places."""

    def __init__(self, samples: Sequence[Sample], places: Sequence[int]) -> None:
        """Pick none out yet."""
        self._samples, self._places = samples, places

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        """The sample at `index`, or a list of several."""
        if isinstance(index, slice):
            return [self._samples[place] for place in self._places[index]]
        return self._samples[self._places[index]]
