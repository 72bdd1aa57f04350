"""The images of a folder in batches: found in an order that never changes, decoded ahead, never scored unread."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from merv.errors import ConfigError, SampleError
from merv.video.images import open_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the files a filter looks at, in any case."""
BATCHES_AHEAD = 2
"""Batches that are decoded while one is computed."""


@dataclass(frozen=True)
class Unreadable:
    """A file that looks like an image and is none."""

    path: Path
    reason: str
    """One line."""


class ImageBatch(NamedTuple):
    """What could be read of a stretch of files."""

    places: list[int]
    """Which of the paths the rows are of, in their order."""
    tensors: Tensor
    """float (B, 3, H, W), a row a place; without any row where no file could be read, whatever its other sizes."""
    unreadable: list[Unreadable]
    """What could not, of the same stretch."""


def find_images(folder: Path, *, recursive: bool = True, exclude: Collection[Path] = ()) -> list[Path]:
    """The images of a folder, sorted by their path below it.

    Hidden files and folders (`._1.jpg`, `.thumbnails`) are passed over; a link to a file is a file, one to nothing is
    an image nobody can read, and one to a folder is not followed.

    Args:
        folder: where to look.
        recursive: look into the folders below, too.
        exclude: folders not to look into.

    Raises:
        ConfigError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "is not there"
        raise ConfigError(f"folder {folder} {found}; name one with images ({_endings()})")
    passed = {path.resolve() for path in exclude}
    images: list[Path] = []
    for at, folders, names in os.walk(folder):
        here = Path(at)
        below = [name for name in folders if not name.startswith(".") and (here / name).resolve() not in passed]
        folders[:] = below if recursive else []
        images += [here / name for name in names if _is_image(name)]
    files = [path for path in images if path.is_file() or not path.exists()]
    if not files:
        where = "in it or below" if recursive else "in it; folders below it were not looked into"
        raise ConfigError(f"folder {folder} holds no images: no {_endings()} {where}")
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


class ImageBatches:
    """Batches of images, decoded ahead in threads: PIL works outside Python's lock.

    Each pass over it reads the files anew.  Their order and what is in them do not depend on the number of threads.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        transform: Callable[[Image.Image], Tensor],
        batch_size: int = 32,
        num_workers: int = 0,
        *,
        at_least: int | None = None,
    ) -> None:
        """Read `paths`, in their order.

        Args:
            paths: the files.
            transform: a picture in RGB to float (3, H, W), of equal sizes for all; called from several threads.
            batch_size: rows of a batch; the last one may have fewer.
            num_workers: threads that decode; 0 decodes in the caller's.
            at_least: pixels each side of a JPEG has to keep, see `merv.video.images.open_image`; None decodes all.
        """
        self.paths = paths
        self.batch_size = batch_size
        self._transform = transform
        self._num_workers = num_workers
        self._at_least = at_least

    def __iter__(self) -> Iterator[ImageBatch]:
        """The batches: every path is either a row of one of them or unreadable in one of them."""
        places: list[int] = []
        rows: list[Tensor] = []
        unreadable: list[Unreadable] = []
        for place, found in enumerate(self.rows()):
            if isinstance(found, Unreadable):
                unreadable.append(found)
                continue
            places.append(place)
            rows.append(found)
            if len(rows) == self.batch_size:
                yield ImageBatch(places, torch.stack(rows), unreadable)
                places, rows, unreadable = [], [], []
        if rows or unreadable:
            yield ImageBatch(places, torch.stack(rows) if rows else torch.empty(0, 3, 0, 0), unreadable)

    def transformed(self, image: Image.Image, place: int) -> Tensor:
        """The picture of one place as a tensor (3, H, W)."""
        return self._transform(image)

    def _read(self, place: int) -> Tensor | Unreadable:
        path = self.paths[place]
        try:
            image = open_image(path, self._at_least)
        except SampleError as error:
            return Unreadable(path, str(error))
        return self.transformed(image, place)

    def rows(self) -> Iterator[Tensor | Unreadable]:
        """Every place in turn, (3, H, W) each; as many as `BATCHES_AHEAD` batches are under way at a time."""
        places = iter(range(len(self.paths)))
        if not self._num_workers:
            yield from map(self._read, places)
            return
        with ThreadPoolExecutor(self._num_workers, thread_name_prefix="images") as pool:
            ahead = islice(places, BATCHES_AHEAD * self.batch_size + self._num_workers)
            under_way: deque[Future[Tensor | Unreadable]] = deque(pool.submit(self._read, place) for place in ahead)
            try:
                while under_way:
                    found = under_way.popleft().result()
                    under_way.extend(pool.submit(self._read, place) for place in islice(places, 1))
                    yield found
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def total_size(paths: Sequence[Path]) -> int:
    """Bytes of files; links to nothing have none."""
    return sum(path.stat().st_size for path in paths if path.exists())


def default_workers() -> int:
    """Threads to decode with: one a core this process may use, 16 at most."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _endings() -> str:
    return ", ".join(ending.removeprefix(".") for ending in SUFFIXES)
