"""Questions on their way to the model: those about one clip go together, so that it is decoded and encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from merv.data.dataset import PreparedDataset, Source
from merv.data.ledger import BadRow, BadSampleLedger
from merv.data.loader import Loader, build_loader
from merv.data.sample import Batch, Example, Sample, Turn
from merv.errors import SampleError
from merv.models.base import Processor
from merv.video.media import MediaRef

STAND_IN = Sample("stand-in", (Turn("user", "-"),))
"""Takes the place of a batch's questions when none of them could be prepared."""


@dataclass(frozen=True)
class Group:
    """Questions about one clip, with their numbers in the task."""

    indices: tuple[int, ...]
    samples: tuple[Sample, ...]

    @property
    def id(self) -> str:
        """Names of its questions, for reports."""
        return ", ".join(sample.id for sample in self.samples)

    @property
    def media(self) -> tuple[MediaRef, ...]:
        """What the questions are about, for reports."""
        return self.samples[0].media


@dataclass(frozen=True)
class Prepared:
    """What a worker made of a group."""

    indices: tuple[int, ...]
    examples: list[Example | SampleError]


def grouped(samples: Sequence[Sample], todo: Sequence[int], batch_size: int) -> list[list[Group]]:
    """Batches of at most `batch_size` questions; questions about one clip stand together, in order of appearance."""
    by_clip: dict[Any, list[int]] = {}
    for index in todo:
        media = samples[index].media
        by_clip.setdefault(media or index, []).append(index)
    parts = [
        indices[start : start + batch_size]
        for indices in by_clip.values()
        for start in range(0, len(indices), batch_size)
    ]
    batches: list[list[Group]] = []
    room = 0
    for part in parts:
        if len(part) > room:
            batches.append([])
            room = batch_size
        batches[-1].append(Group(tuple(part), tuple(samples[index] for index in part)))
        room -= len(part)
    return batches


def prepare_group(processor: Processor, group: Any) -> Any:
    """A worker's task: decode a group's clip once and tokenise its questions."""
    return Prepared(group.indices, processor.prepare_all(group.samples, answer=False))


@dataclass
class Questions:
    """Batches of prepared questions, and why others could not be prepared."""

    processor: Processor
    batches: list[list[Group]]
    reasons: dict[int, str] = field(default_factory=dict)
    """Number of a question -> why it failed, known once its batch has come."""

    def loader(self, *, num_workers: int, decode_deadline_s: float) -> Loader:
        """Prepares the batches ahead; a batch's `indices` are the numbers of its questions."""
        groups: Any = [group for batch in self.batches for group in batch]
        numbers = iter(range(len(groups)))
        last: Any = Group((), (STAND_IN,))
        return build_loader(
            _Groups(Source("items", [*groups, last]), partial(prepare_group, self.processor)),
            self._collate,
            [[next(numbers) for _ in batch] for batch in self.batches],
            num_workers=min(num_workers, len(groups)),
            decode_deadline_s=decode_deadline_s,
            ledger=_Failures(self, groups),
        )

    def _collate(self, examples: Sequence[Any], *, indices: Sequence[int]) -> Batch:
        """Join what could be prepared."""
        ready: list[tuple[int, Example]] = []
        for prepared in examples:
            for index, example in zip(prepared.indices, prepared.examples, strict=False):
                if isinstance(example, SampleError):
                    self.reasons[index] = " ".join(str(example).split())
                else:
                    ready.append((index, example))
        if not ready:
            return self.processor.collate([self.processor.prepare(STAND_IN, answer=False)], pad="left")
        return self.processor.collate([e for _, e in ready], indices=[index for index, _ in ready], pad="left")


class _Groups(PreparedDataset):
    """The groups, with an empty one as last row, which stands in for one whose clip cannot be used."""

    def replacement(self, index: int) -> int:
        return len(self) - 1


class _Failures(BadSampleLedger):
    """Remembers why groups failed as a whole, such as at a clip that hangs its decoder, and stops for none."""

    def __init__(self, questions: Questions, groups: Sequence[Group]) -> None:
        super().__init__(policy="skip", max_bad_fraction=1.0)
        self.questions, self.groups = questions, groups

    def bad(self, row: BadRow) -> None:
        for index in self.groups[row.row].indices:
            self.questions.reasons[index] = row.reason
        super().bad(row)
