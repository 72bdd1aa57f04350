"""Whether all a recipe promises is there once it is unpacked."""

from collections.abc import Sequence
from pathlib import Path


def lacking(folder: Path, expected: Sequence[str]) -> list[str]:
    """Those of the expected paths that are not there; a folder, with a slash behind it, has to hold something."""
    return [path for path in expected if not _is_there(folder / path, is_folder=path.endswith("/"))]


def _is_there(path: Path, *, is_folder: bool) -> bool:
    if not is_folder:
        return path.is_file()
    return path.is_dir() and any(path.iterdir())
