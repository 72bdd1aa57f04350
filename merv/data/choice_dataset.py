"""What multiple-choice benchmarks share as datasets: where their files are, and benchmarks of several lists."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.json_rows import json_rows
from merv.data.formats.parquet_rows import parquet_rows
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Reading, joined, value_of
from merv.data.question_dataset import QuestionDatasetConfig

SMALL = "videos_3fps_480_noaudio"
"""Folder of videos as VideoMind makes them smaller."""


@dataclass
class ChoiceDatasetConfig(QuestionDatasetConfig):
    """Options of multiple-choice benchmarks."""

    annotations: Path | None = None
    """The list, or where there are several their folder; None means the publisher's below `dataset_root_dir`."""
    media_root: Path | None = None
    """Folder of the videos; None means the publisher's below `dataset_root_dir`."""

    folder: ClassVar[str]
    """Folder below `dataset_root_dir`."""
    listed: ClassVar[tuple[str, ...]] = ()
    """Places of the list below the folder; the first is asked for where there is none."""
    media: ClassVar[tuple[str, ...]] = ("videos", SMALL)
    """Places of the videos below the folder; the first is asked for where there is none."""

    @property
    def annotation_path(self) -> Path:
        """The list, or the folder of the lists."""
        return self.annotations or self.first_there(self.listed)

    @property
    def media_path(self) -> Path:
        """The folder of the videos."""
        return self.media_root or self.first_there(self.media)

    def first_there(self, places: Iterable[str]) -> Path:
        """The first of some places below the benchmark's folder that is there; the first one where none is."""
        known = [self.dataset_root_dir / self.folder / place for place in places]
        return next((path for path in known if path.exists()), known[0])

    def files(self) -> list[Path]:
        """The list and the videos."""
        return [self.annotation_path, self.media_path]

    def rows(self, columns: str) -> Iterable[Any]:
        """Rows of a list that is JSON or parquet; `columns` are what one should hold, for messages."""
        path = self.annotation_path
        return parquet_rows(path) if path.suffix == ".parquet" else json_rows(path, columns)


@dataclass
class ListsDatasetConfig(ChoiceDatasetConfig):
    """Benchmarks of several lists without ids: a question is called by its list and its place there."""

    listed: ClassVar[tuple[str, ...]] = ("json",)
    media: ClassVar[tuple[str, ...]] = ("video",)

    def lists(self) -> list[str]:
        """Names of the lists."""
        raise TypeError(f"{type(self).__name__} does not define lists()")

    def question_of(self, row: Any, part: str, number: int) -> Question:
        """What a row of list `part` says."""
        raise TypeError(f"{type(self).__name__} does not define question_of()")

    def files(self) -> list[Path]:
        """The lists and the videos."""
        return [*(self.annotation_path / f"{part}.json" for part in self.lists()), self.media_path]

    def read(self) -> Reading:
        """All questions, list after list."""
        return joined([self._list(part) for part in self.lists()])

    def _list(self, part: str) -> Reading:
        path = self.annotation_path / f"{part}.json"
        rows = numbered(json_rows(path, "video, question, candidates, answer"))
        return self.questions_in(
            rows, lambda row: self.question_of(row, part, value_of(row, "number")), path, self.media_path
        )


def numbered(rows: Iterable[Any]) -> Iterator[Any]:
    """Rows with their `number`; what is no object is handed on as it is."""
    for number, row in enumerate(rows):
        yield {**row, "number": number} if isinstance(row, dict) else row
