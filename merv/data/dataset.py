"""Sources of samples, and the one place where rows meet model code."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from merv.data.ledger import BadRow
from merv.data.sample import Example, Sample


@dataclass
class Source(Sequence[Sample]):
    """A named list of samples, with the rows its reader refused."""

    name: str
    samples: Sequence[Sample]
    bad_rows: Sequence[BadRow] = ()
    rows: Sequence[int] | None = None
    """Row number in the file of each sample; None when nothing was refused."""
    files: Sequence[Path] = ()
    """Annotation files the samples were read from."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that were not meant for this use or are beyond a limit, by reason."""
    num_cut: int = 0
    """Windows that reached over an end of their video and were cut there."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        """The sample at `index`."""
        return self.samples[index]

    def ready(self, index: int) -> Sample:
        """The sample at `index`, once what has to be fetched for it is on the disk; may take long."""
        return self[index]

    def origin(self, index: int) -> tuple[str, int]:
        """Dataset name and row number, for reports."""
        return self.name, index if self.rows is None else self.rows[index]


@dataclass
class PreparedDataset:
    """Samples and the function that decodes and tokenises one of them."""

    source: Source
    prepare: Callable[[Sample], Example] = field(repr=False)
    """Picklable; raises `SampleError` for a row that cannot be used."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        """The example at `index`.

        Raises:
            SampleError: the row or its media cannot be used.
        """
        return self.prepare(self.source.ready(index))

    def replacement(self, index: int) -> int:
        """The row that stands in for a bad one: the next, and after the last the first."""
        return (index + 1) % len(self.source)

    def bad_row(self, index: int, reason: str) -> BadRow:
        """The ledger's entry for the row at `index`."""
        return BadRow.of(self.source.origin(index), self.source[index], reason)
