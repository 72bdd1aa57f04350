"""What tasks share that are read from a benchmark's own files: where these are, and under which condition to ask."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import read_rows
from merv.evaluation.task import Task, TaskConfig
from merv.video.media import MediaRef, Span

Condition = Literal["video", "no-video", "single-frame"]


@dataclass
class BenchmarkConfig(TaskConfig):
    """Options of tasks read from a benchmark's own files."""

    folder: ClassVar[str]
    """Folder below `data_root`, as the benchmark is called."""
    file: ClassVar[str]
    """Its annotation file, below the folder."""
    media: ClassVar[str] = "videos"
    """Its media, below the folder."""
    source: ClassVar[str] = "download it"
    """Where to get it, for messages: "download it from https://..."."""

    data_root: Path = Path("data/eval")
    """Folder of all benchmarks."""
    annotations: Path | None = None
    """Annotation file; None means the benchmark's own below `data_root`."""
    media_root: Path | None = None
    """Folder of the videos; None means `videos` beside the annotations' place below `data_root`."""
    condition: Condition = "video"
    """What the model is shown: the clip, no-video: the text alone, single-frame: the middle frame in place of all."""
    limit: int | None = None
    """Ask the first so many only, for a trial; None asks all."""

    def __post_init__(self) -> None:
        """Refuse a limit that asks nothing."""
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; it must be at least 1")

    @property
    def annotation_path(self) -> Path:
        """The annotation file."""
        return self.annotations or self.data_root / self.folder / self.file

    @property
    def media_path(self) -> Path:
        """The folder of the videos."""
        return self.media_root or self.data_root / self.folder / self.media

    def rows(self) -> list[tuple[dict[str, Any], str]]:
        """Rows of the annotation file, each with what messages call it.

        Raises:
            ConfigError: the file is missing, damaged or no list of rows.
        """
        path = self.annotation_path
        return [(row, f"{path} row {number}") for number, row in enumerate(read_rows(path, get=self.source))]

    def build(self) -> Task:
        """Read the benchmark's files.

        Raises:
            ConfigError: one is missing or is not as it should be.
        """
        samples = self.read()[: self.limit]
        return self.task([under(sample, self.condition) for sample in samples])

    @property
    def task_name(self) -> str:
        """Name of the task's folder: the registered name, with the condition if it is another than the clip."""
        return self.type_name if self.condition == "video" else f"{self.type_name}-{self.condition}"

    @abstractmethod
    def read(self) -> list[Sample]:
        """All samples of the benchmark, in its order; no media file is opened."""

    @abstractmethod
    def task(self, samples: Sequence[Sample]) -> Task:
        """The task that asks `samples`, called `task_name`."""


def under(sample: Sample, condition: Condition) -> Sample:
    """The sample as a condition shows it.

    Raises:
        ConfigError: `single-frame` of a video whose duration is not known.
    """
    if condition == "video":
        return sample
    media = () if condition == "no-video" else tuple(_middle(sample, ref) for ref in sample.media)
    return Sample(sample.id, sample.turns, media, sample.span, sample.meta)


def _middle(sample: Sample, ref: MediaRef) -> MediaRef:
    """The middle instant of what is shown of a video: every frame read there is the same one."""
    if ref.kind == "image":
        return ref
    if ref.span is not None and ref.span.end != float("inf"):
        middle = (ref.span.start + ref.span.end) / 2
        return replace(ref, span=Span(middle, middle))
    duration = sample.meta.get("duration")
    if duration is None:
        raise ConfigError(
            f"question `{sample.id}` has no duration; single-frame needs the seconds of each video in the list"
        )
    return replace(ref, span=Span(duration / 2, duration / 2))
