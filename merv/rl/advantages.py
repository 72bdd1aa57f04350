"""How much better an answer is than the others to the same prompt: GRPO's advantages (https://arxiv.org/abs/2402.03300)."""

from typing import Literal

from torch import Tensor

from merv.training.world import World

Scale = Literal["group", "batch", "none"]
"""Standard deviation that rewards are divided by: of a prompt's answers, of all answers of the step, or 1."""
EPSILON = 1e-4
"""Added to a standard deviation, as TRL does."""


def advantages(rewards: Tensor, scale: Scale, step_spread: Tensor | None = None) -> Tensor:
    """Rewards less the mean of their group, over a standard deviation.  (P, G) -> (P, G); G answers a prompt.

    Args:
        rewards: of every answer; NaN where none applies, which counts nowhere and has the advantage 0.
        scale: which standard deviation.
        step_spread: () that of the whole step, for `batch`.
    """
    centred = _centred(rewards)
    if scale == "none":
        return centred
    if scale == "batch":
        assert step_spread is not None
        return centred / (step_spread.to(rewards) + EPSILON)
    return centred / (spread(rewards)[:, None] + EPSILON)


def spread(rewards: Tensor) -> Tensor:
    """Sample standard deviation of each group, as TRL has it.  (P, G) -> (P,)."""
    return (_centred(rewards).square().sum(1) / (_count(rewards) - 1).clamp(min=1)).sqrt()


def step_spread(rewards: Tensor, world: World) -> Tensor:
    """Sample standard deviation of all rewards of a step on all processes, () float64; a collective, twice."""
    known = rewards[~rewards.isnan()].double()
    total, count = world.total(known.sum(), float(known.numel()))
    [squares] = world.total(((known.to(total.device) - total / count.clamp(min=1)) ** 2).sum())
    return (squares / (count - 1).clamp(min=1)).sqrt()


def without_spread(rewards: Tensor) -> Tensor:
    """Groups whose answers are all worth the same, or nothing known: rewards teach nothing.  (P, G) -> (P,) bool."""
    return _centred(rewards).abs().amax(1) < 1e-8


def _centred(rewards: Tensor) -> Tensor:
    """Rewards less the mean of those known in their group; 0 where none is known."""
    return (rewards - rewards.nansum(1, keepdim=True) / _count(rewards).clamp(min=1)[:, None]).nan_to_num(nan=0.0)


def _count(rewards: Tensor) -> Tensor:
    """Known rewards of each group."""
    return (~rewards.isnan()).sum(1)
