"""Cross-entropy over a wide vocabulary, a stretch of tokens at a time.

A 7B model has 32,000 to 152,000 words: float32 logits of a micro-batch, with their gradient, would outweigh all other
activations.  Here the logits of a few thousand tokens exist at a time, and the backward pass makes them again; the
idea is that of Liger Kernel (https://arxiv.org/abs/2410.10989) and of Cut Cross-Entropy (https://arxiv.org/abs/2411.09009).
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

CHUNK_ELEMENTS = 1 << 26
"""Most float32 logits that exist at once: 256 MiB."""


def summed_cross_entropy(
    hidden: Tensor,
    targets: Tensor,
    head: Callable[[Tensor], Tensor],
    *,
    vocab_size: int,
    elements: int = CHUNK_ELEMENTS,
) -> Tensor:
    """Cross-entropy summed over tokens.  (N, D), (N,) int64 -> () float32.

    Args:
        hidden: what the head turns into logits.
        targets: the right word of each.
        head: (n, D) -> (n, V).
        vocab_size: V.
        elements: logits that may exist at once.
    """
    size = max(1, elements // vocab_size)
    if len(hidden) <= size:
        return _summed(hidden, targets, head)
    pieces = zip(hidden.split(size), targets.split(size), strict=True)
    losses = [checkpoint(_summed, *piece, head, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
    return sum(losses[1:], start=losses[0])


def _summed(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    return cross_entropy(head(hidden).float(), targets, reduction="sum")
