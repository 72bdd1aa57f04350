"""What a row points at: a media file and the stretch of it that is meant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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


@dataclass(frozen=True)
class MediaRef:
    """One video (file, animated GIF, or folder of frames) or still image.  Nothing is opened before `read_clip`."""

    path: Path
    kind: MediaKind = "video"
    span: Span | None = None
    """The stretch of the video to look at; None means all of it.  Ignored for a still image."""
