"""A picture's 64-bit perceptual hash, and all pairs of hashes that differ in few bits, found without comparing all.

The hash is the usual pHash (as in https://github.com/JohannesBuchner/imagehash, BSD): grey, 32x32, cosine transform,
the 8x8 lowest frequencies above their median.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from merv.filters.images import ImageBatches, Unreadable

BITS = 64
SIDE = 32
"""Pixels of the side of the small picture."""
FREQUENCIES = 8
"""Lowest frequencies of each direction that make the hash."""
FARTHEST = 16
"""Bits beyond which a search would compare nearly all with all, and pictures have little in common."""
ROOM = 8
"""A JPEG may be decoded at a fraction of its size, as long as it stays so many times larger than the small picture."""
_DECIMALS = 6
"""What lies below is rounding: a picture of one colour has no frequencies, and would get random bits."""
_BLOCK = 2048

Hashes = NDArray[np.uint64]


def perceptual_hash(grey: Tensor) -> Hashes:
    """Hashes of small grey pictures.  (B, 32, 32), levels of any scale -> (B,)"""
    if not len(grey):
        return np.empty(0, dtype=np.uint64)
    levels = grey.to(torch.float64)
    basis = _cosines().to(grey.device)
    lowest_BFF = basis @ levels @ basis.T
    flat = lowest_BFF.flatten(1).round(decimals=_DECIMALS)
    ordered = flat.sort(dim=1).values
    median = (ordered[:, BITS // 2 - 1] + ordered[:, BITS // 2]) / 2
    bits = (flat > median[:, None]).cpu().numpy()
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()


def look_at_hashes(paths: Sequence[Path], batch_size: int, num_workers: int) -> list[int | Unreadable]:
    """The hash of each image, or why it has none; in the order of the paths.

    Args:
        paths: the images.
        batch_size: images hashed at a time.
        num_workers: threads that decode.
    """
    results: list[Any] = [None] * len(paths)
    where = {path: place for place, path in enumerate(paths)}
    for batch in ImageBatches(paths, small_grey, batch_size, num_workers, at_least=ROOM * SIDE):
        for place, value in zip(batch.places, perceptual_hash(batch.tensors.flatten(1, 2)), strict=True):
            results[place] = int(value)
        for unreadable in batch.unreadable:
            results[where[unreadable.path]] = unreadable
    return results


def small_grey(image: Image.Image) -> Tensor:
    """The picture the hash is made of.  -> float (1, 32, 32)"""
    small = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small, dtype=np.float32))[None]


def _cosines() -> Tensor:
    """Rows of the cosine transform (type 2) for the lowest frequencies.  -> (8, 32)"""
    places = (2 * torch.arange(SIDE, dtype=torch.float64) + 1) * torch.pi / (2 * SIDE)
    return torch.cos(torch.arange(FREQUENCIES, dtype=torch.float64)[:, None] * places)


def bits_apart(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """In how many bits two hashes differ."""
    return np.bitwise_count(one ^ other)


def near_pairs(hashes: Hashes, distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of places (first < second) whose hashes connect all that differ in at most `distance` bits.

    Exact.  The bits are cut into `distance + 1` bands: two hashes that differ in at most `distance` bits agree in one
    band at least, so only those that share a band are compared.  Equal hashes come as a chain, not as all their pairs.

    Args:
        hashes: (N,)
        distance: bits, 0 to `FARTHEST`.
    """
    assert 0 <= distance <= FARTHEST, f"{distance} bits"
    distinct, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
    for place, number in enumerate(which.ravel()):
        if firsts[number] != place:
            yield int(firsts[number]), place
    if not distance:
        return
    edges = [round(band * BITS / (distance + 1)) for band in range(distance + 2)]
    for low, high in pairwise(edges):
        bands = (distinct >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        for members in _sharing(bands):
            for one, other in _close(distinct[members], distance):
                first, second = int(firsts[members[one]]), int(firsts[members[other]])
                yield (first, second) if first < second else (second, first)


def _sharing(bands: Hashes) -> Iterator[NDArray[np.intp]]:
    """Places that have the same band, wherever two or more have."""
    order = np.argsort(bands, kind="stable")
    cuts = np.flatnonzero(np.diff(bands[order])) + 1
    for members in np.split(order, cuts):
        if len(members) > 1:
            yield members


def _close(hashes: Hashes, distance: int) -> Iterator[tuple[int, int]]:
    """Pairs within `distance`, compared each with each in blocks."""
    for start in range(0, len(hashes), _BLOCK):
        rows = hashes[start : start + _BLOCK]
        for begin in range(start, len(hashes), _BLOCK):
            apart = bits_apart(rows[:, None], hashes[None, begin : begin + _BLOCK])
            for one, other in np.argwhere(apart <= distance):
                if start + one < begin + other:
                    yield int(start + one), int(begin + other)
