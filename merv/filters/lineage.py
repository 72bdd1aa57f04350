"""filter_lineage.json: what a filter read, with what it chose, and which filters had chosen before it."""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from merv.errors import ConfigError

FILE = "filter_lineage.json"
PACKAGES = ("merv", "torch", "torchvision", "pillow", "numpy")


def write_lineage(
    out: Path,
    *,
    command: str,
    options: Mapping[str, Any],
    sources: Mapping[Path, Sequence[Path]],
    model: Mapping[str, Any] | None,
    counts: Mapping[str, int],
    filters: Mapping[str, Any] | None = None,
) -> None:
    """Write filter_lineage.json into `out`, the folder a filter has made.

    Args:
        out: the folder.
        command: such as "merv filter classify".
        options: the command's, as they were used.
        sources: each input folder with the images found there.
        model: what chose, such as its name and `sha256` of its weights; None when no model did.
        counts: images by what became of them.
        filters: lineages of what was read, where `sources` do not lead to them; see `filters_above`.
    """
    lineage = {
        "command": command,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": dict(options),
        "inputs": [_input(folder, paths) for folder, paths in sources.items()],
        "model": None if model is None else dict(model),
        "counts": dict(counts),
        **({} if filters is None else {"filters": dict(filters)}),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    partial = out / f".{FILE}.partial"
    partial.write_text(json.dumps(lineage, indent=1, default=str), encoding="utf-8")
    os.replace(partial, out / FILE)


def filters_above(paths: Iterable[Path]) -> dict[str, Any]:
    """The lineages in the folders of these files and folders, or above them, nearest only: file -> what it says.

    Raises:
        ConfigError: a lineage is no JSON.
    """
    files = {file for path in paths if (file := _nearest(path)) is not None}
    return {str(file): _read(file) for file in sorted(files)}


def hash_of_list(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 of paths below `root`, a line each: it tells whether the same images were looked at."""
    digest = sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def hash_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _input(folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "folder": str(folder.absolute()),
        "num_images": len(paths),
        "list_sha256": hash_of_list(paths, folder),
        "filters": filters_above([folder]),
    }


def _nearest(path: Path) -> Path | None:
    path = path.absolute()
    return next((file for file in (above / FILE for above in (path, *path.parents)) if file.is_file()), None)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON: {error}; mend it, or move it away") from error
