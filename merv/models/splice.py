"""Visual tokens into the sequence of text embeddings.

Every row of a batch runs the same operations, whether it has frames or not, so that all ranks run the same graph.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from merv.data.sample import IGNORE_INDEX


class Spliced(NamedTuple):
    """What the LLM reads: S = L + V positions a row."""

    embeds: Tensor
    """(B, S, D)."""
    labels: Tensor
    """(B, S) int64; `IGNORE_INDEX` on visual positions."""
    attention_mask: Tensor
    """(B, S) bool, False on padding."""
    positions: Tensor
    """(B, L) int64: where each token of the text went."""


def insert_visual(
    embeds: Tensor,
    visual: Tensor,
    rows: Tensor,
    *,
    labels: Tensor,
    attention_mask: Tensor,
    after: int | Tensor = 1,
    pad: Literal["right", "left"] = "right",
) -> Spliced:
    """Put visual tokens after the first `after` text tokens of their row.

    Rows stay in order.  A row without frames gets V positions of padding, at its end or, with `pad="left"`, at its
    beginning; so do all rows of a batch of text alone: the shape does not depend on what a rank drew.  `visual` may
    have more rows than `rows`: the surplus (dummies that keep every rank's graph the same) is left out; its gradient
    is 0.

    Args:
        embeds: (B, L, D) text embeddings.
        visual: (R, V, D) with R >= len(rows).
        rows: (number of rows with frames,) int64, distinct: the row that visual[i] belongs to.
        labels: (B, L) int64.
        attention_mask: (B, L) bool, or integers of which 0 is padding; padding stands on the side of `pad`.
        after: text tokens before the visual ones, counted from the first attended one; 1 is after the BOS.  A tensor
            (B,) gives each row its own.
        pad: the side that padding stands on: right for training, left for generation.
    """
    (batch_size, length, _), num_visual = embeds.shape, visual.shape[1]
    has_visual = torch.zeros_like(attention_mask[:, 0], dtype=torch.bool).index_fill(0, rows, True)
    blocks = embeds.new_zeros(batch_size, num_visual, embeds.shape[-1])
    blocks = blocks.index_copy(0, rows, visual[: len(rows)].to(embeds.dtype))

    first = attention_mask.ne(0).long().argmax(dim=1)
    padding_at = length if pad == "right" else 0
    starts = torch.where(has_visual, (first + after).clamp(max=length), padding_at)
    order = _order(starts, length, num_visual)

    block_labels = labels.new_full((batch_size, num_visual), IGNORE_INDEX)
    block_mask = has_visual[:, None].expand(-1, num_visual)
    return Spliced(
        embeds=_reorder(embeds, blocks, order),
        labels=_reorder(labels, block_labels, order),
        attention_mask=_reorder(attention_mask.ne(0), block_mask, order),
        positions=_positions(starts, length, num_visual),
    )


def _order(starts: Tensor, length: int, num_visual: int) -> Tensor:
    """Where each position of the result comes from, in a row of text followed by its block.  (B,) -> (B, L + V)."""
    position = torch.arange(length + num_visual, device=starts.device)[None]
    start = starts[:, None]
    in_block = (position >= start) & (position < start + num_visual)
    text = torch.where(position < start, position, position - num_visual)
    return torch.where(in_block, length + position - start, text)


def _positions(starts: Tensor, length: int, num_visual: int) -> Tensor:
    """Where each token of the text goes: behind the block, or stays.  (B,) -> (B, L)."""
    position = torch.arange(length, device=starts.device)[None]
    return position + num_visual * (position >= starts[:, None])


def _reorder(text: Tensor, block: Tensor, order: Tensor) -> Tensor:
    rows = torch.arange(len(order), device=order.device)[:, None]
    return torch.cat([text, block], dim=1)[rows, order]
