"""Reports of the CLIP filters: JSON with the keys VaseVQA-3D published, ours after them, and images put in folders."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from merv.errors import ConfigError
from merv.filters.images import Unreadable
from merv.filters.placing import Mode, place, write_list

T = TypeVar("T")


def write_json(file: Path, report: Mapping[str, Any]) -> None:
    """Write a report into a folder that is not yet under its final name."""
    file.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")


def below(path: Path, root: Path) -> str:
    """How reports name an image: its path below the folder that was read; of a flat folder, its file name."""
    return path.relative_to(root).as_posix()


def unreadable_rows(found: Iterable[Unreadable], root: Path) -> list[dict[str, str]]:
    """What a report says about files that could not be read."""
    return [{"filename": below(one.path, root), "reason": one.reason} for one in found]


def put(out: Path, name: str, images: Iterable[Path], *, root: Path, mode: Mode) -> None:
    """Images into the folder `name` of `out`, or with mode "list" their paths into `name`.txt."""
    if mode == "list":
        write_list(out / f"{name}.txt", images)
        return
    (out / name).mkdir()
    for image in images:
        place(image, out / name, root=root, mode=mode)


@dataclass(frozen=True)
class Seen(Generic[T]):
    """What came of looking at images."""

    images: list[Path]
    """Those that could be read."""
    results: list[T]
    """One an image."""
    unreadable: list[Unreadable]
    """The others."""

    def pairs(self) -> Iterator[tuple[Path, T]]:
        """Each image with its result."""
        return zip(self.images, self.results, strict=True)


def seen(paths: Sequence[Path], results: Sequence[T | Unreadable]) -> Seen[T]:
    """The images with a result apart from the others.

    Raises:
        ConfigError: no image could be read.
    """
    images: list[Path] = []
    found: list[T] = []
    unreadable: list[Unreadable] = []
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, Unreadable):
            unreadable.append(result)
        else:
            images.append(path)
            found.append(result)
    if not images:
        raise ConfigError(f"none of {len(paths)} images could be read; the first: {unreadable[0].reason}")
    return Seen(images, found, unreadable)
