"""What a row points at: a media file and the stretch of it that is meant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

MediaKind = Literal["video", "image"]


@dataclass(frozen=True)
class Span:
    """A stretch of time in seconds, 0 <= start <= end."""

    start: float
    end: float

    def __post_init__(self) -> None:
        """Refuse spans that run backwards or before the beginning."""
        if not 0 <= self.start <= self.end:
            raise ValueError(f"span {self.start}..{self.end} s: expected 0 <= start <= end")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


class Bringer(Protocol):
    """Brings a file to the disk that is not there yet; picklable and hashable."""

    def bring(self, path: Path) -> None:
        """Put the file at `path`."""


@dataclass(frozen=True)
class Within:
    """Which bytes of a larger file, such as a shard, a medium is."""

    name: str
    """What it is called there."""
    stretches: tuple[tuple[int, int], ...]
    """Offset and size in bytes: one for a file, one for each frame of a folder of frames, in their order."""
    is_folder: bool = False
    """Whether it stands for a folder of frames."""
    digest: str = ""
    """What tells the larger file's content apart from others; empty when only the file on the disk can tell."""
    bringer: Bringer | None = None
    """Brings the larger file when it is looked for and absent; None for one that is there or missing."""


@dataclass(frozen=True)
class MediaRef:
    """One video (file, animated GIF, or folder of frames) or still image.  Nothing is opened before `read_clip`."""

    path: Path
    kind: MediaKind = "video"
    span: Span | None = None
    """The stretch of the video to look at; None means all of it.  Ignored for a still image."""
    within: Within | None = None
    """Which bytes of the file at `path` are meant; None means the file itself."""

    @property
    def where(self) -> str:
        """What messages and reports call it; two media of one larger file have different names."""
        return str(self.path) if self.within is None else f"{self.path}:{self.within.name}"
