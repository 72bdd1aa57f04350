"""What planning batches asks of every row, found in one pass over the samples: a few bytes a row are kept."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from merv.data.sample import Sample
from merv.video.media import MediaKind


@dataclass
class Survey(Sequence[tuple[bool, int]]):
    """The rows of a source; as a sequence it is what `SplitModalitySampler` plans with."""

    lengths: array = field(default_factory=lambda: array("I"))
    """Rough number of text tokens of each row."""
    is_visual: bytearray = field(default_factory=bytearray)
    """Whether each row shows something."""
    media_kinds: set[MediaKind] = field(default_factory=set)
    """Kinds of media that occur."""
    names: list[str] = field(default_factory=list)
    """Kinds of row in order of appearance."""
    _kinds: array = field(default_factory=lambda: array("H"))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def __getitem__(self, row: int) -> tuple[bool, int]:  # type: ignore[override]
        """Whether the row shows something, and its length."""
        return bool(self.is_visual[row]), self.lengths[row]

    @property
    def kinds(self) -> Iterator[str]:
        """The kind of each row: the task of a row for a model with roles, otherwise whether it shows something."""
        return (self.names[kind] for kind in self._kinds)


def survey(samples: Iterable[Sample], length: Callable[[Sample], int]) -> Survey:
    """Look at every sample once; `length` tells its rough number of text tokens."""
    found = Survey()
    numbers: dict[str, int] = {}
    for sample in samples:
        found.lengths.append(length(sample))
        found.is_visual.append(sample.has_visual)
        found.media_kinds.update(ref.kind for ref in sample.media)
        kind = str(sample.meta.get("task") or ("visual" if sample.has_visual else "text"))
        found._kinds.append(numbers.setdefault(kind, len(numbers)))
    found.names = list(numbers)
    return found
