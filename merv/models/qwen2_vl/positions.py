"""Rotary positions in time, row and column (M-RoPE) of rows with a video (Qwen2-VL, https://arxiv.org/abs/2409.12191)."""

from collections.abc import Collection, Sequence
from typing import Literal

import torch
from torch import Tensor

Protocol = Literal["merv", "videomind"]
Grid = tuple[int, int, int]


def rope_positions(
    ids: Tensor,
    mask: Tensor,
    grids: Sequence[Grid | None],
    *,
    video_id: int,
    marks: Collection[int],
    merge: int = 2,
    protocol: Protocol = "merv",
) -> tuple[Tensor, Tensor]:
    """Positions of every token, and the one that follows each row.

    Text counts on by one in all three.  A video's tokens have the next position after the text, plus their time step,
    row and column; text behind it goes on after the greatest of these.  In rows with marks, `merv` leaves every other
    token the position it has without them, and a mark has that of the token behind it.  `videomind` counts as
    transformers 4.45 did when the published weights were trained: the places of the grid go to the first tokens from
    the video's first on, marks included, and what is left of the video counts as text; where a mark stands before the
    first visual token the video is not noticed, and all counts as text.

    Args:
        ids: (B, L) int64.
        mask: (B, L) bool, False on padding.
        grids: time steps, rows and columns of patches of each row's video; None in rows without.
        video_id: the token that stands for a visual token.
        marks: tokens that are put between visual tokens.
        merge: patches along a side that become one visual token.
        protocol: what marks do to positions.

    Returns:
        (3, B, L) int64, 0 on padding, and (B,) int64.
    """
    positions = torch.zeros(3, *ids.shape, dtype=torch.int64, device=ids.device)
    following = torch.zeros(len(ids), dtype=torch.int64, device=ids.device)
    for row, grid in enumerate(grids):
        own = ids[row][mask[row]]
        if not len(own):
            continue
        if protocol == "merv":
            places = _around_marks(own, grid, video_id, marks, merge)
        elif grid is not None and _hides_video(own, video_id, marks):
            places = _as_text(len(own), own.device)
        else:
            places = _places(own, grid, video_id, merge)
        positions[:, row, mask[row]] = places
        following[row] = places.max() + 1
    return positions, following


def _around_marks(ids: Tensor, grid: Grid | None, video_id: int, marks: Collection[int], merge: int) -> Tensor:
    """Positions as they are without marks; a mark has that of the token behind it.  (L,) -> (3, L)."""
    others = ~torch.isin(ids, ids.new_tensor(list(marks)))
    places = _places(ids[others], grid, video_id, merge)
    end = places.max().view(1, 1) + 1
    # As many others stand before a token as the number of the other that it is, or that follows it.
    number = others.long().cumsum(0) - others.long()
    return torch.cat([places, end.expand(3, 1)], dim=1)[:, number]


def _hides_video(ids: Tensor, video_id: int, marks: Collection[int]) -> bool:
    first = _first(ids, video_id)
    return first > 0 and int(ids[first - 1]) in marks


def _places(ids: Tensor, grid: Grid | None, video_id: int, merge: int) -> Tensor:
    """Positions where the grid's places go to the tokens from the first visual one on.  (L,) -> (3, L)."""
    if grid is None:
        return _as_text(len(ids), ids.device)
    found = int((ids == video_id).sum())
    first, steps = _first(ids, video_id), (grid[0], grid[1] // merge, grid[2] // merge)
    axes = torch.meshgrid(*(torch.arange(size, device=ids.device) for size in steps), indexing="ij")
    visual = torch.stack(axes).flatten(1) + first
    size = visual.shape[1]
    assert found == size, f"{found} visual tokens in a row, its grid has {size}"
    rest = _as_text(len(ids) - first - size, ids.device) + first + max(steps)
    return torch.cat([_as_text(first, ids.device), visual, rest], dim=1)


def _as_text(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, device=device).expand(3, -1)


def _first(ids: Tensor, token: int) -> int:
    return int((ids == token).nonzero()[0, 0])
