"""Videos by the names lists give them, which come with a suffix, without, or with another one than the file has."""

import os
from pathlib import Path

from merv.data.formats.role_rows import video_in
from merv.video.media import MediaRef, Span

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")
"""What a video may end in, in order of preference; the first where none is there."""


class VideoFolder:
    """Finds videos below a folder; each of its folders is listed once, no file is looked at."""

    def __init__(self, root: Path) -> None:
        """List nothing yet; the folder need not be there."""
        self.root = root
        self._names: dict[str, frozenset[str]] = {}

    def find(self, name: str, span: Span | None = None) -> MediaRef:
        """The video `name`, a path below the folder, or the stretch `span` of it.

        What is there under this very name, be it a folder of frames, comes first, then the name with each suffix.

        Raises:
            SampleError: the name leads out of the folder.
        """
        path = video_in(self.root, name).path
        present = self._listed(str(path.parent))
        if path.name not in present:
            named = [path.name + suffix for suffix in SUFFIXES]
            otherwise = path.name if path.suffix.lower() in SUFFIXES else named[0]
            path = path.with_name(next((other for other in named if other in present), otherwise))
        return MediaRef(path, span=span)

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]
