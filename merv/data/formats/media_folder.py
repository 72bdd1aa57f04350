"""The folder the media paths of a list start from: paths are joined to it, and none may lead out of it."""

import os
from pathlib import Path

from merv.errors import SampleError


class MediaFolder:
    """Joins relative paths to a root and refuses those that lead out of it.

    A training list has a million rows: each folder is looked at once, no file is.
    """

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        """Look at nothing yet.

        Args:
            root: The folder.
            follow_links: Accept symbolic links that lead out of it.
        """
        self.root = root
        self.follow_links = follow_links
        self._real_root = os.path.realpath(root)
        self._links: dict[str, frozenset[str] | None] = {}
        self._good: dict[str, tuple[Path, frozenset[str]]] = {}
        """Folders that paths of earlier rows lie in, as rows write them, and the links in each."""

    def locate(self, name: str, path: str) -> Path:
        """The place of `path`, which the row has in its field `name`.

        Raises:
            SampleError: the path leads out of the folder, or no file can be called so.
        """
        written, _, file = path.rpartition("/")
        if written in self._good and file.isascii() and file not in ("", ".", "..") and "\0" not in file:
            parent, links = self._good[written]
            if file not in links:
                return parent / file
        return self._checked(name, path, written)

    def _checked(self, name: str, path: str, written: str) -> Path:
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:  # half a surrogate pair, which JSON can spell
            raise SampleError(f"field {name}: {path!a} cannot be the name of a file: {error.reason}") from error
        lexical = os.path.normpath(os.path.join(self.root, path))
        root = os.path.normpath(self.root)
        inside = path if not os.path.isabs(path) else os.path.relpath(path, os.path.abspath(root))
        if "\0" in path or os.path.normpath(inside).split(os.sep)[0] == "..":
            raise SampleError(f"field {name}: {path!r} leads out of {self.root}")
        links: frozenset[str] = frozenset()
        if not self.follow_links:
            links = self._check_links(name, path, lexical)
        place = Path(lexical)
        if written and place.name == path[len(written) + 1 :]:
            self._good[written] = place.parent, links
        return place

    def _check_links(self, name: str, path: str, lexical: str) -> frozenset[str]:
        """Names of the links in the path's folder, if the path does not lead out by one."""
        folder, file = os.path.split(lexical)
        if folder not in self._links:
            self._links[folder] = self._list_links(folder)
        links = self._links[folder]
        if links is None or (file in links and not self._is_inside(lexical)):
            raise SampleError(
                f"field {name}: {path!r} leads out of {self.root} by a symbolic link; set follow_links to accept it"
            )
        return links

    def _list_links(self, folder: str) -> frozenset[str] | None:
        """Names of the links in a folder; None when the folder itself lies outside."""
        if not self._is_inside(folder):
            return None
        if not os.path.isdir(folder):
            return frozenset()
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(os.path.join(self._real_root, ""))
