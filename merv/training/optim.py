"""AdamW with decay on matrices only, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from merv.models.stage import StageConfig


def build_optimizer(named_parameters: Iterable[tuple[str, nn.Parameter]], stage: StageConfig) -> torch.optim.AdamW:
    """AdamW over the parameters that learn; vectors (biases, norms, scalars) are not decayed."""
    learning = [(name, p) for name, p in named_parameters if p.requires_grad]
    decayed = [p for name, p in learning if is_decayed(name, p)]
    others = [p for name, p in learning if not is_decayed(name, p)]
    groups = [{"params": decayed, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
    betas = (0.9, stage.adam_beta2)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=stage.learning_rate, betas=betas, eps=1e-8)


def is_decayed(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: matrices and larger, unless the name says bias."""
    return parameter.ndim > 1 and not name.endswith("bias")


def num_warmup_steps(num_steps: int, stage: StageConfig) -> int:
    """Steps before the peak, rounded down as MERV does."""
    return int(num_steps * stage.warmup_ratio)


def learning_rate(step: int, num_steps: int, stage: StageConfig) -> float:
    """Learning rate of optimiser step `step`, 0 .. num_steps - 1: linear warm-up, then half a cosine down.

    MERV's schedule, except that its first step, spent at rate 0, is spent here: at half of the second step's rate when
    warming up, at the peak when not.
    """
    if stage.lr_scheduler_type == "constant":
        return stage.learning_rate
    warmup = num_warmup_steps(num_steps, stage)
    if step < warmup:
        return stage.learning_rate * max(step, 0.5) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return stage.learning_rate * max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` in every group from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
