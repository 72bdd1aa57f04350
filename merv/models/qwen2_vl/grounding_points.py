"""The points at which a grounding head speaks: every place of a pyramid over time, and what is said there.

Points and their ranges are those of VideoMind (https://github.com/yeliudev/VideoMind, videomind/model/generator.py);
here they are made for the clip at hand, so that no clip is too long.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class PointGrid:
    """P points, level after level, for R rows of different length."""

    table: Tensor
    """(P, 4) float32: place, least and most distance to a moment's farther end, stride; all in time steps."""
    present: Tensor
    """(R, P) bool: the points the row would have alone."""
    valid: Tensor
    """(R, P) bool: those of them that stand for a real step."""
    sizes: tuple[int, ...]
    """Points of each level."""

    @classmethod
    def over(cls, mask: Tensor, strides: Sequence[int], *, padded: bool) -> "PointGrid":
        """Lay points over rows of time steps.

        Args:
            mask: (R, T) bool, True on real steps, which come first.
            strides: steps between the points of each level, ascending.
            padded: whether a row shorter than the last stride is as long as that stride; it has every level then.
                Otherwise it lacks the levels whose stride is longer than the row.
        """
        lengths = mask.sum(1, keepdim=True)
        size, reach = mask.shape[1], lengths
        if padded:
            size, reach = max(size, strides[-1]), lengths.clamp(min=strides[-1])
        tables, present, valid = [], [], []
        for number, stride in enumerate(strides):
            if stride > size:
                break
            index = torch.arange(size // stride, device=mask.device)
            tables.append(_level(index * stride, number, strides))
            present.append(index < reach // stride)
            valid.append(present[-1] & (index * stride < lengths))
        return cls(
            torch.cat(tables), torch.cat(present, 1), torch.cat(valid, 1), tuple(len(level) for level in tables)
        )

    def levels(self) -> tuple[Tensor, ...]:
        """`present` of each level, (R, P_i)."""
        return self.present.split(self.sizes, dim=1)


def _level(places: Tensor, number: int, strides: Sequence[int]) -> Tensor:
    """Each level is for moments whose farther end lies between its own stride and the next one away."""
    least = strides[number] if number else 0
    most = strides[number + 1] if number + 1 < len(strides) else float("inf")
    facts = torch.tensor([least, most, strides[number]], device=places.device)
    return torch.cat((places[:, None].float(), facts.expand(len(places), 3)), dim=1)


@dataclass
class HeadOutput:
    """What a head says of R rows of T steps; C copies, one for each supervised layer, the answer last."""

    video: Tensor
    """(C, R, T, d) states of the steps."""
    query: Tensor
    """(C, R, d) states of the queries."""
    logits: Tensor
    """(C, R, P) float32: whether a point lies in the moment."""
    distances: Tensor
    """(C, R, P, 2) float32: how far start and end are from a point, in strides of its level."""
    points: PointGrid
    mask: Tensor
    """(R, T) bool, True on real steps."""

    @property
    def scores(self) -> Tensor:
        """(R, P) in 0..1: how sure the last layer is of each point."""
        return self.logits[-1].sigmoid()

    @property
    def lengths(self) -> Tensor:
        """(R,) int64: real steps of each row."""
        return self.mask.sum(1)
