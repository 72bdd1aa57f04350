"""Where the bytes of a medium are: a file of its own, or a piece of a larger one such as a shard."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from merv.errors import SampleError
from merv.video.media import Bringer, MediaRef

BUFFER = 1 << 17
"""Bytes read together from a piece of a file."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a file that is read as if it were a file."""

    path: Path
    """The larger file."""
    offset: int
    """Where the piece begins, in bytes."""
    size: int
    """Bytes of the piece."""
    name: str
    """What the piece is called; its suffix helps to tell what it is, as that of a file does."""
    bringer: Bringer | None = None
    """Brings the larger file when it is absent."""

    def __str__(self) -> str:
        """The name of both, for messages."""
        return f"{self.path}:{self.name}"


Place = Path | Piece


def place_of(ref: MediaRef) -> Place:
    """Where the bytes of a file are; a folder of frames has several places."""
    return ref.path if ref.within is None else pieces_of(ref)[0]


def pieces_of(ref: MediaRef) -> list[Piece]:
    """The pieces of a medium that is part of a larger file: one, or the frames of a folder in order."""
    assert ref.within is not None, f"{ref} is a file of its own"
    within = ref.within
    names = [within.name]
    if within.is_folder:
        names = [f"{within.name}.{number}" for number in range(len(within.stretches))]
    return [
        Piece(ref.path, offset, size, name, within.bringer)
        for name, (offset, size) in zip(names, within.stretches, strict=True)
    ]


def is_present(ref: MediaRef) -> bool:
    """Whether there is a file to look at; one that can be brought is brought."""
    if ref.within is not None and ref.within.bringer is not None:
        ref.within.bringer.bring(ref.path)
    return ref.path.exists()


def check_place(place: Place, what: str) -> None:
    """Refuse a place with nothing to read at it; a file that can be brought is brought.

    Raises:
        SampleError: missing, not a file, empty, or cut short before the end of the piece.
    """
    path = place.path if isinstance(place, Piece) else place
    if isinstance(place, Piece) and place.bringer is not None:
        place.bringer.bring(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise SampleError(f"{what} `{place}` {found}; check the row and the dataset's media folder")
    size = path.stat().st_size
    if (place.size if isinstance(place, Piece) else size) == 0:
        raise SampleError(f"{what} `{place}` is empty (0 bytes); fetch it again")
    if isinstance(place, Piece) and place.offset + place.size > size:
        raise SampleError(
            f"{what} `{place}` ends at byte {place.offset + place.size}, and {path} was cut short at {size}; "
            "fetch it again"
        )


@contextmanager
def opened(piece: Piece) -> Iterator[BinaryIO]:
    """The piece as a file to read from and seek in; nothing is copied.

    Raises:
        SampleError: the larger file cannot be opened.
    """
    try:
        try:
            window = _Window(piece)
        except FileNotFoundError:
            if piece.bringer is None:
                raise
            piece.bringer.bring(piece.path)  # it was there a moment ago: a cache dropped it
            window = _Window(piece)
    except OSError as error:
        raise SampleError(f"`{piece}` cannot be opened: {error.strerror}; fetch it again") from error
    with io.BufferedReader(window, BUFFER) as file:
        yield file


class _Window(io.RawIOBase):
    """A piece of a file with a position of its own.  It has no file number: libraries would read past the piece."""

    def __init__(self, piece: Piece) -> None:
        self.name = piece.name
        self._piece = piece
        self._position = 0
        self._handle = os.open(piece.path, os.O_RDONLY)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._piece.size}[whence]
        if start + offset < 0:
            raise OSError(f"position {start + offset} is before the beginning")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        room = max(0, min(len(buffer), self._piece.size - self._position))
        if room == 0:
            return 0
        read = os.preadv(self._handle, [memoryview(buffer)[:room]], self._piece.offset + self._position)
        self._position += read
        return read

    def close(self) -> None:
        if not self.closed:
            os.close(self._handle)
        super().close()
