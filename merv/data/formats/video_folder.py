"""Videos by the names lists give them, which come with a suffix, without, or with another one than the file has."""

import os
from collections.abc import Iterator
from pathlib import Path

from merv.data.formats.role_rows import video_in
from merv.errors import SampleError
from merv.video.media import MediaRef

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")
"""What a video may end in, in order of preference; the first where none is there."""


class VideoFolder:
    """Finds videos below a folder; each of its folders is listed once, no file is looked at."""

    def __init__(self, root: Path) -> None:
        """List nothing yet; the folder need not be there."""
        self.root = root
        self._names: dict[str, frozenset[str]] = {}

    def find(self, *names: str) -> MediaRef:
        """The first of the names that is there, each a path below the folder; the first name where none is.

        What is there under a name as it stands, be it a folder of frames, comes before the name with a suffix, and
        that before the name with another suffix than its own.

        Raises:
            SampleError: a name is empty or leads out of the folder.
        """
        paths = [self._path(name) for name in names]
        found = (other for path in paths for other in spellings(path) if self._is_there(other))
        return MediaRef(next(found, None) or most_likely(paths[0]))

    def _path(self, name: str) -> Path:
        path = video_in(self.root, name).path
        if path == self.root:
            raise SampleError(f"video {name!r} names no file")
        return path

    def _is_there(self, path: Path) -> bool:
        folder = str(path.parent)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._names[folder] = frozenset()
        return path.name in self._names[folder]


def most_likely(path: Path) -> Path:
    """What a video that is not there should be called."""
    return path if path.suffix.lower() in SUFFIXES else path.with_name(path.name + SUFFIXES[0])


def spellings(path: Path) -> Iterator[Path]:
    """What a video may be called: as it is named, with a suffix, with another suffix than its own."""
    yield path
    yield from (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    if path.suffix.lower() in SUFFIXES:
        yield from (path.with_suffix(suffix) for suffix in SUFFIXES)
