"""What the role models eat: a batch whose clips are patches of different grids, and whose rows may differ in role."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.base import positions_to_generate
from merv.data.sample import Batch, Moments
from merv.video.media import Span

PATCHES = "patches"
"""Name of the patches among a batch's frames: uint8 (sum of all clips' patches, values of one patch)."""
Grid = tuple[int, int, int]
"""Time steps, rows and columns of patches of a clip."""


@dataclass
class RoleBatch(Batch):
    """B rows of L tokens; visual tokens have their places in `input_ids` already."""

    grids: tuple[Grid, ...] = ()
    """One a clip, in the order of the clips' patches."""
    clip_tokens: tuple[int, ...] = ()
    """Visual tokens of each clip."""
    positions: Tensor = None  # type: ignore[assignment]  # always given; the base's fields have defaults
    """(3, B, L) int64: time, row and column of every token for rotary positions."""
    first_video: tuple[int, ...] = ()
    """Place of each row's first visual token; -1 in rows without."""
    calls: tuple[tuple[int, ...], ...] = ()
    """Places in each row whose state calls the grounding head: the token after it is to be `<|reg|>`."""
    roles: tuple[str, ...] = ()
    """Who answers each row."""
    moments: tuple[Moments | None, ...] = ()
    """What the grounding head is to find in each row."""
    shown: tuple[Span | None, ...] = ()
    """Seconds of the video each row is about."""

    def num_visual_tokens(self, each: int = 0) -> int:
        """Visual tokens of the rows; clips differ, and their tokens have places among the words."""
        rows = range(len(self.visual_rows)) if self.shows is None else self.shows.tolist()
        return sum(self.clip_tokens[clip] for clip in rows)

    def num_text_tokens(self) -> int:
        """Tokens that are no padding and no visual ones."""
        return super().num_text_tokens() - self.num_visual_tokens()

    def num_target_rows(self) -> int:
        """Rows the grounding head learns from."""
        return sum(found is not None for found in self.moments)

    def clip_of(self, row: int) -> int | None:
        """Number of the clip a row shows; None for a row without."""
        place = (self.visual_rows == row).nonzero()
        if not len(place):
            return None
        visual = int(place[0, 0])
        return visual if self.shows is None else int(self.shows[visual])

    def generation_positions(self) -> Tensor:
        """Positions for generate: how many tokens came before, then time, row and column.  -> (4, B, L)."""
        return positions_to_generate(self.attention_mask, self.positions)

    def choose(self, rows: Sequence[int]) -> "RoleBatch":
        """Some of the rows, with all the clips; padding stays as wide as it is."""
        chosen = copy.copy(self)
        index = torch.tensor(list(rows), device=self.input_ids.device)
        for name in ("input_ids", "labels", "attention_mask"):
            setattr(chosen, name, getattr(self, name)[index])
        chosen.positions = self.positions[:, index]
        clips = [self.clip_of(row) for row in rows]
        device = self.visual_rows.device
        chosen.visual_rows = torch.tensor(
            [place for place, clip in enumerate(clips) if clip is not None], dtype=torch.int64, device=device
        )
        chosen.shows = torch.tensor([clip for clip in clips if clip is not None], dtype=torch.int64, device=device)
        for name in ("first_video", "calls", "roles", "moments", "shown", "sample_ids", "indices"):
            values = getattr(self, name)
            setattr(chosen, name, tuple(values[row] for row in rows) if values else values)
        chosen.targets = None  # type: ignore[assignment]
        chosen.__post_init__()
        return chosen

    def _map(self, fn: Any) -> "RoleBatch":
        changed = super()._map(fn)
        assert isinstance(changed, RoleBatch)
        changed.positions = fn(self.positions)
        return changed
