"""Sampling whose chance belongs to the answer: the same whatever process samples it, and in what company.

The likeliest token after Gumbel noise is a draw from the distribution (https://arxiv.org/abs/1611.01144), so decoding
is greedy, and every row has a generator of its own.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor


def seed_of(*parts: object) -> int:
    """A seed that depends on all parts, and is the same everywhere."""
    digest = blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def warpers(*, temperature: float, top_k: int, top_p: float, seeds: Sequence[int], device: torch.device) -> list[Any]:
    """What makes greedy decoding sample: for `logits_processor` of transformers' generate; one seed a row.

    Args:
        temperature: logits are divided by it.
        top_k: likeliest tokens to keep; 0 keeps all.
        top_p: probability the kept tokens have together at least; 1 keeps all.
        seeds: of the rows.
        device: where the logits are.
    """
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    made: list[Callable[[Tensor, Tensor], Tensor]] = [lambda _, scores: scores.float() / temperature]
    if top_k:
        made.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        made.append(TopPLogitsWarper(top_p))
    return [*made, Gumbel(seeds, device)]


class Gumbel:
    """Adds noise to the scores of each row."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        """Make a generator for each row."""
        self.generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    def __call__(self, _: Tensor, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        waits = torch.empty_like(scores)
        for row, generator in zip(waits, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores - waits.clamp(min=torch.finfo(scores.dtype).tiny).log()
