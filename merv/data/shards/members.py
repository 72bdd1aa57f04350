"""The members of a shard that a medium becomes, and their bytes on the way into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO

from merv.errors import SampleError
from merv.video.images import frames_of
from merv.video.media import MediaRef
from merv.video.places import Piece, Place, check_place, opened, place_of


@dataclass(frozen=True)
class Member:
    """A file of a shard that is to be written."""

    name: str
    place: Place
    """Where its bytes are now."""
    size: int
    """How many they are."""


@dataclass(frozen=True)
class Medium:
    """One medium of a sample."""

    name: str
    """What rows call it: the member, or what the names of its frames begin with."""
    members: tuple[Member, ...]
    is_folder: bool


def medium_of(stem: str, ref: MediaRef) -> Medium:
    """What a medium becomes: `stem.mp4`, or `stem.000000.jpg` and so on for a folder of frames.

    Raises:
        SampleError: there is nothing to read.
    """
    frames = frames_of(ref)
    if frames is None:
        place = place_of(ref)
        member = _member(stem + _suffix(place), place, ref.kind)
        return Medium(member.name, (member,), is_folder=False)
    numbered = enumerate(frames)
    found = tuple(_member(f"{stem}.{number:06d}{_suffix(place)}", place, "image") for number, place in numbered)
    return Medium(stem, found, is_folder=True)


@contextmanager
def content_of(member: Member) -> Iterator[BinaryIO]:
    """The bytes of a member.

    Raises:
        SampleError: they cannot be read.
    """
    if isinstance(member.place, Piece):
        with opened(member.place) as file:
            yield file
        return
    try:
        file = member.place.open("rb")
    except OSError as error:
        raise SampleError(f"`{member.place}` cannot be opened: {error.strerror}") from error
    with file:
        yield file


def _member(name: str, place: Place, what: str) -> Member:
    check_place(place, what)
    return Member(name, place, place.size if isinstance(place, Piece) else place.stat().st_size)


def _suffix(place: Place) -> str:
    """A member's suffix: the file's own, as long as no tar and no URL minds it."""
    suffix = PurePath(place.name).suffix.lower()
    return suffix if suffix.isascii() and suffix[1:].isalnum() else ".bin"
