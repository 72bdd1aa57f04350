"""Joining examples to a batch: padding, and clips that several examples show."""

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from torch import Tensor, nn

T = TypeVar("T")


def padded(values: Tensor, width: int, fill: int, side: str) -> Tensor:
    """(L,) -> (width,), filled up on the `left` or the `right`."""
    missing = width - len(values)
    return nn.functional.pad(values, (missing, 0) if side == "left" else (0, missing), value=fill)


def distinct(values: Sequence[T], keys: Iterable[Hashable]) -> tuple[list[T], list[int]]:
    """The first value of each key, and for every value which of them has its key."""
    places: dict[Hashable, int] = {}
    firsts: list[T] = []
    shows = []
    for value, key in zip(values, keys, strict=True):
        if key not in places:
            places[key] = len(firsts)
            firsts.append(value)
        shows.append(places[key])
    return firsts, shows
