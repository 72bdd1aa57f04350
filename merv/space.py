"""Room for what is to be written; files and folders that appear whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merv.errors import ConfigError

PARTIAL = ".partial"
"""Ending of a folder that is being written."""
OLD = ".old"
"""Ending of the folder that a new one is about to replace."""
GIGABYTE = 1e9


def check_space(folder: Path, num_bytes: int, *, option: str = "--out") -> None:
    """Refuse to write more than the disk has room for; `folder` need not be there yet.

    Args:
        folder: where it is to be written.
        num_bytes: how much.
        option: the one that names the folder, for the message.

    Raises:
        ConfigError: the disk has less; says both in gigabytes of 10^9 bytes.
    """
    parent = nearest_existing(folder)
    free = shutil.disk_usage(parent).free
    if num_bytes > free:
        raise ConfigError(
            f"{folder} needs {num_bytes / GIGABYTE:.2f} GB and {parent} has {free / GIGABYTE:.2f} GB free; name an "
            f"{option} on a larger disk, or make room"
        )


def nearest_existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse what stands at `folder`, unless it is an empty folder, or a folder that may be replaced.

    Raises:
        ConfigError: it is a file, or holds something and `overwrite` is False, or has no name to be replaced by.
    """
    if folder.name in ("", ".."):
        raise ConfigError(f"{folder} has no name under which it could appear as a whole; name another --out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name another --out")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(f"{folder} is there already; name another --out, or add --overwrite")


def check_apart(folder: Path, *sources: Path) -> None:
    """Refuse to replace a folder by something that is made of it, or of what lies in it.

    Args:
        folder: is to be written.
        sources: what is read for it; those that are not there are passed over.

    Raises:
        ConfigError: one of them is `folder`, or below it.
    """
    own = folder.resolve()
    for source in sources:
        if source.exists() and source.resolve().is_relative_to(own):
            raise ConfigError(f"{folder} holds {source}, of which it would be made; name another --out")


@contextmanager
def replaced(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, beside `folder`, which takes its place at the end.

    Whatever goes wrong within leaves `folder` as it was, and nothing beside it.

    Raises:
        ConfigError: something stands at `folder`, and `overwrite` is False.
    """
    check_free(folder, overwrite)
    partial, old = (folder.with_name(folder.name + ending) for ending in (PARTIAL, OLD))
    shutil.rmtree(partial, ignore_errors=True)  # a process that was killed left it
    partial.mkdir(parents=True)
    try:
        yield partial
        _swap(partial, folder, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put `new` in the place of `folder`; what stood there goes once the new one stands."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file as a whole."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def write(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    with replace_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes its place at the end; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
