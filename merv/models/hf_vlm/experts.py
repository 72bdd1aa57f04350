"""Losses of a mixture of experts: that experts share the work, and that a router's logits stay small.

Switch Transformer's load balancing (https://arxiv.org/abs/2101.03961) and ST-MoE's z-loss
(https://arxiv.org/abs/2202.08906), as Aria is trained with (https://github.com/rhymes-ai/Aria).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Router(NamedTuple):
    """A module that chooses experts."""

    module: nn.Module
    place: int
    """Which of its outputs is the logits."""


def find_routers(model: nn.Module) -> list[Router]:
    """The routers of a model, as transformers tells where their logits are; none for a dense model."""
    found: dict[int, Router] = {}
    for module in model.modules():
        recorder: Any = (getattr(module, "_can_record_outputs", None) or {}).get("router_logits")
        if recorder is None or isinstance(recorder, type):
            continue
        for inner in module.modules():
            if isinstance(inner, recorder.target_class):
                found.setdefault(id(inner), Router(inner, recorder.index))
    return list(found.values())


@contextmanager
def routed(routers: list[Router]) -> Iterator[list[tuple[Tensor, int]]]:
    """Within it: logits (tokens, experts) of every router that runs, with the number of experts a token goes to."""
    seen: list[tuple[Tensor, int]] = []

    def remember(router: Router) -> Any:
        def hook(module: Any, _: Any, output: Any) -> None:
            logits = output[router.place] if isinstance(output, tuple) else output
            seen.append((logits.flatten(0, -2), int(module.top_k)))

        return hook

    handles = [router.module.register_forward_hook(remember(router)) for router in routers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def expert_loss(seen: list[tuple[Tensor, int]], mask: Tensor, *, balance: float, z: float) -> Tensor:
    """Weighted losses summed over layers, computed in float32.  -> ().

    Args:
        seen: logits (tokens, experts) of each layer, and how many experts a token goes to.
        mask: (tokens,) bool, False on padding and stand-ins, which are no work to share.
        balance: weight of load balancing: experts x mean over experts of share of tokens x mean probability, 1 when
            all have the same.
        z: weight of the mean squared log-sum-exp of the logits.
    """
    total = mask.new_zeros((), dtype=torch.float32)
    weights = mask.float()
    tokens = weights.sum().clamp(min=1.0)
    for logits, top_k in seen:
        scores = logits.float()
        probabilities = scores.softmax(-1)
        chosen = torch.zeros_like(scores).scatter(-1, scores.topk(top_k, dim=-1).indices, 1.0)
        load = (chosen * weights[:, None]).sum(0) / (tokens * top_k)
        share = (probabilities * weights[:, None]).sum(0) / tokens
        total = total + balance * scores.shape[-1] * (load * share).sum()
        total = total + z * (scores.logsumexp(-1).square() * weights).sum() / tokens
    return total
