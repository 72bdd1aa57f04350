"""Groups of images that look the same, and which one of each stays.

Two images are near when their hashes differ in few bits, or their CLIP features point the same way.  Groups are chains
of near ones: two members need not be near each other, so a report says how far each is from the one that stays.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

_BLOCK = 4096


@dataclass(frozen=True)
class Group:
    """Images that look the same, by place."""

    kept: int
    """The one that stays."""
    removed: tuple[int, ...]
    """The others, ascending."""


def groups_of(pairs: Iterable[tuple[int, int]], total: int, better: Callable[[int], tuple]) -> list[Group]:
    """Join near pairs to groups of two or more, in the order of their first member.

    Args:
        pairs: places that are near each other.
        total: number of images.
        better: a place's rank among its group; the smallest stays.
    """
    above = list(range(total))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for one, other in pairs:
        first, second = sorted((top(one), top(other)))
        above[second] = first
    members: dict[int, list[int]] = {}
    for place in range(total):
        members.setdefault(top(place), []).append(place)
    chosen = [(min(places, key=better), places) for places in members.values() if len(places) > 1]
    return [Group(kept, tuple(place for place in places if place != kept)) for kept, places in chosen]


def by_resolution(pixels: Sequence[int]) -> Callable[[int], tuple[int, int]]:
    """The image with the most pixels stays; of equals the first, which is the first by path."""
    return lambda place: (-pixels[place], place)


def num_pixels(path: Path) -> int:
    """Width times height of an image that can be read, from its header."""
    with Image.open(path) as image:
        return image.width * image.height


def similar_pairs(features: Tensor, similarity: float) -> Iterator[tuple[int, int]]:
    """Pairs of places (first < second) whose features have at least this cosine; in blocks, so memory stays small.

    Args:
        features: (N, D), each of length 1.
        similarity: cosine, -1..1.
    """
    for start in range(0, len(features), _BLOCK):
        rows = features[start : start + _BLOCK]
        for begin in range(start, len(features), _BLOCK):
            near = rows @ features[begin : begin + _BLOCK].T >= similarity
            for one, other in near.nonzero().tolist():
                if start + one < begin + other:
                    yield start + one, begin + other
