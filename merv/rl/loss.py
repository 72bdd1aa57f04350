"""GRPO's loss (https://arxiv.org/abs/2402.03300): every token of an answer weighted by the answer's advantage.

Answers are learnt from once, by the model that gave them, so the ratio of new to old probability is 1 and nothing is
clipped: its gradient is that of the log-probability.
"""

from typing import Literal

import torch
from torch import Tensor

LossType = Literal["grpo", "dapo", "dr-grpo"]
"""grpo: mean over an answer's tokens, then over answers; dapo: over all tokens of the step
(https://arxiv.org/abs/2503.14476); dr-grpo: tokens summed up, over the longest answer allowed
(https://arxiv.org/abs/2503.20783)."""


def token_weights(learned: Tensor, loss_type: LossType, longest: int) -> Tensor:
    """What each token counts in the sum.  (N, T) bool -> (N, T) float32.

    Args:
        learned: tokens that carry loss.
        loss_type: how tokens and answers are averaged.
        longest: tokens an answer may have.
    """
    weights = learned.float()
    if loss_type == "dapo":
        return weights
    if loss_type == "dr-grpo":
        return weights / longest
    return weights / weights.sum(1, keepdim=True).clamp(min=1)


def denominator(learned: Tensor, loss_type: LossType) -> int:
    """What the sum over the step is divided by: its tokens for dapo, else its answers.  (N, T) bool."""
    return int(learned.sum()) if loss_type == "dapo" else len(learned)


def policy_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Loss of each token; its value is minus the advantage, its gradient the policy's.  (M,), (M,) -> (M,)."""
    return -torch.exp(log_probs - log_probs.detach()) * advantages


def divergence(log_probs: Tensor, reference: Tensor) -> Tensor:
    """An estimate of the KL divergence from the reference at each token, never negative.  (M,), (M,) -> (M,).

    Schulman's k3 (http://joschu.net/blog/kl-approx.html), which GRPO takes.
    """
    difference = reference - log_probs
    return torch.exp(difference) - difference - 1
