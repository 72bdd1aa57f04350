"""What is to be converted: which rows show the same files, whether these are there, and how large they are.

Before anything is written the dataset is read through, and of rows that show the same files the first one again.  What
is kept are a few numbers a row.
"""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.video.images import frames_of
from merv.video.media import MediaRef
from merv.video.places import Piece, Place, check_place, place_of

Missing = Literal["stop", "skip", "keep"]
"""What happens to rows whose media are not there."""


@dataclass(frozen=True)
class Plan:
    """What the pass found."""

    groups: np.ndarray
    """(R,) uint64: the same for rows that show the same files."""
    num_bytes: int
    """Of all media, each counted once."""
    folders: frozenset[str]
    """Those media lie in that are files of their own."""

    @property
    def folder(self) -> Path | None:
        """The folder all of them are below, relative if they are; None without any."""
        if not self.folders:
            return None
        folders: Iterable[str] = self.folders
        if len({os.path.isabs(folder) for folder in folders}) > 1:
            folders = map(os.path.abspath, folders)
        return Path(os.path.commonpath(list(folders)))


def make_plan(source: Source, limit: int | None, missing: Missing) -> Plan:
    """Look at every row, and at each of its files once.

    Args:
        source: The dataset.
        limit: Take the first so many rows; None takes all.
        missing: `keep` does not look at files at all.

    Raises:
        ConfigError: `stop`, and a file is missing; or there are no rows.
    """
    count = len(source) if limit is None else min(limit, len(source))
    if not count:
        raise ConfigError(f"dataset `{source.name}` has no rows to convert; choose another stage or a larger --limit")
    found = array("Q", (_group(source[number], number) for number in range(count)))
    groups = np.frombuffer(found, np.uint64)
    num_bytes, folders = 0, set[str]()
    for number in np.sort(np.unique(groups, return_index=True)[1]).tolist():
        sample = source[number]
        folders.update(os.path.dirname(ref.path) for ref in sample.media if ref.within is None)
        if missing != "keep":
            num_bytes += _size(sample, number, missing)
    return Plan(groups, num_bytes, frozenset(folders))


def together(plan: Plan) -> Iterator[np.ndarray]:
    """Numbers of the rows that show the same files, in the order in which the files come first."""
    _, first, inverse = np.unique(plan.groups, return_index=True, return_inverse=True)
    order = np.argsort(first[inverse], kind="stable")
    starts = np.flatnonzero(np.diff(first[inverse][order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:end]


def shown(sample: Sample) -> str:
    """What a sample shows, whatever stretch of it is meant."""
    return "\0".join(ref.where for ref in sample.media)


def _group(sample: Sample, number: int) -> int:
    """Of rows without media each is a group of its own."""
    text = shown(sample) or f"\0{number}"
    return int.from_bytes(blake2b(os.fsencode(text), digest_size=8).digest())


def _size(sample: Sample, number: int, missing: Missing) -> int:
    """Bytes of a sample's media; 0 for those that are to be left out."""
    try:
        return sum(_bytes(place) for ref in sample.media for place in places(ref))
    except SampleError as error:
        if missing == "skip":
            return 0
        raise ConfigError(
            f"row {number} (id `{sample.id}`): {error}; or leave such rows out with --on_missing skip"
        ) from error


def places(ref: MediaRef) -> Sequence[Place]:
    """Where the files of a medium are.

    Raises:
        SampleError: one is missing or empty.
    """
    frames = frames_of(ref)
    found = [place_of(ref)] if frames is None else frames
    for place in found:
        check_place(place, ref.kind)
    return found


def _bytes(place: Place) -> int:
    return place.size if isinstance(place, Piece) else place.stat().st_size
