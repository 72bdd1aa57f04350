"""Tiny heads, rows of steps for them, and what they are to find."""

import torch
from torch import Tensor

from merv.data.sample import Moments
from merv.models.qwen2_vl.grounding_head import GroundingHead, GroundingHeadConfig

HIDDEN = 12


def tiny_head(*, seed=0, **options) -> GroundingHead:
    """A head of width 8 without drop path; its weights are large enough for answers to differ."""
    config = GroundingHeadConfig(**{"dims": 8, "num_heads": 2, "num_layers": 2, "drop_path": 0.0, **options})
    head = GroundingHead(config, HIDDEN)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
        head.coef.scale.fill_(1.0)
    return head


def mask_of(lengths, width=None) -> Tensor:
    return torch.arange(width or max(lengths)) < torch.tensor(lengths)[:, None]


def rows(lengths, *, width=None, seed=1) -> tuple[Tensor, Tensor, Tensor]:
    """Steps, queries and mask; a row's steps do not depend on the others'."""
    width = width or max(lengths)
    steps = torch.zeros(len(lengths), width, HIDDEN)
    queries = torch.zeros(len(lengths), HIDDEN)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(seed + row)
        queries[row] = torch.randn(HIDDEN, generator=generator)
        steps[row, :length] = torch.randn(length, HIDDEN, generator=generator)
    return steps, queries, mask_of(lengths, width)


def alone(row, length, given) -> tuple[Tensor, Tensor, Tensor]:
    """One of the rows, without its padding."""
    steps, queries, mask = given
    return steps[row : row + 1, :length], queries[row : row + 1], mask[row : row + 1, :length]


def moments(length, *spans) -> Moments:
    """Moments in a row of `length` steps; every step covered is salient, the first one is drawn."""
    saliency = torch.zeros(length)
    for start, end in spans:
        saliency[int(start * length) : max(int(start * length) + 1, int(end * length))] = 1
    return Moments(torch.tensor(spans, dtype=torch.float32), saliency, int(saliency.argmax()))
