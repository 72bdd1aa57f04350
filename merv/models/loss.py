"""Cross-entropy over a wide vocabulary, a stretch of tokens at a time.

A 7B model has 32,000 to 152,000 words: float32 logits of a micro-batch, with their gradient, would outweigh all other
activations.  Here the logits of a few thousand tokens exist at a time, and the backward pass makes them again; the
idea is that of Liger Kernel (https://arxiv.org/abs/2410.10989) and of Cut Cross-Entropy (https://arxiv.org/abs/2411.09009).
"""

from collections.abc import Callable

from torch import Tensor, cat
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

Head = Callable[[Tensor], Tensor]
"""(n, D) -> (n, V)."""
CHUNK_ELEMENTS = 1 << 26
"""Most float32 logits that exist at once: 256 MiB."""


def summed_cross_entropy(
    hidden: Tensor,
    targets: Tensor,
    head: Head,
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
    losses = _in_pieces(_summed, hidden, targets, head, max(1, elements // vocab_size))
    return sum(losses[1:], start=losses[0])


def token_log_probs(
    hidden: Tensor,
    targets: Tensor,
    head: Head,
    *,
    vocab_size: int,
    temperature: float = 1.0,
    elements: int = CHUNK_ELEMENTS,
) -> Tensor:
    """Log-probability of each token, of logits divided by `temperature`.  (N, D), (N,) int64 -> (N,) float32.

    The other arguments are those of `summed_cross_entropy`.
    """

    def each(hidden: Tensor, targets: Tensor, head: Head) -> Tensor:
        return -cross_entropy(head(hidden).float() / temperature, targets, reduction="none")

    return cat(_in_pieces(each, hidden, targets, head, max(1, elements // vocab_size)))


def _in_pieces(
    fn: Callable[[Tensor, Tensor, Head], Tensor], hidden: Tensor, targets: Tensor, head: Head, size: int
) -> list[Tensor]:
    """What `fn` gives for `size` tokens at a time; several pieces are computed again in the backward pass."""
    if len(hidden) <= size:
        return [fn(hidden, targets, head)]
    pieces = zip(hidden.split(size), targets.split(size), strict=True)
    return [checkpoint(fn, *piece, head, use_reentrant=False) for piece in pieces]  # adapters on a head have dropout


def _summed(hidden: Tensor, targets: Tensor, head: Head) -> Tensor:
    return cross_entropy(head(hidden).float(), targets, reduction="sum")
