"""A stage of training: which parts learn, from what, how fast, in batches of what size and under which strategy."""

from dataclasses import dataclass, field
from typing import Literal

from merv.errors import ConfigError

StageName = Literal["align", "full-align", "finetune", "full-finetune"]

TRAINED_PARTS: dict[str, tuple[str, ...]] = {
    "align": ("projectors", "fusion"),
    "full-align": ("projectors", "fusion", "llm"),
    "finetune": ("projectors", "fusion", "llm"),
    "full-finetune": ("video_backbones", "projectors", "fusion", "llm"),
}
"""Parts of a multi-encoder model each stage trains; the others are frozen and in evaluation mode.

As the original has them (https://github.com/princetonvisualai/merv): full-align is align with the LLM learning.
"""


@dataclass
class LoraConfig:
    """Low-rank adapters on linear layers (https://arxiv.org/abs/2106.09685), through peft."""

    rank: int = 0
    """Rank of the adapters; 0 trains the weights themselves."""
    alpha: float = 32.0
    """Scale of the update is alpha / rank."""
    dropout: float = 0.05
    """Dropout before the adapter, a probability."""
    target_modules: list[str] = field(default_factory=list)
    """Names of linear layers, such as q_proj; empty means every linear layer of the LLM except its head, and in models
    of transformers those of every part that learns."""
    modules_to_save: list[str] = field(default_factory=list)
    """Modules that learn whole beside the adapters and are kept with them, such as embed_tokens and lm_head."""

    def __post_init__(self) -> None:
        """Refuse values peft would refuse later and less clearly."""
        if self.rank < 0 or not 0 <= self.dropout < 1:
            raise ConfigError(f"lora: rank {self.rank} must be >= 0 and dropout {self.dropout} in [0, 1)")


@dataclass
class StageConfig:
    """How one stage trains: `--model.finetune.learning_rate 1e-5`, or flat, `--model.finetune_learning_rate 1e-5`."""

    epochs: int = 1
    """Passes over the data."""
    max_steps: int | None = None
    """Optimiser steps to stop at; None means as many as `epochs` gives."""
    global_batch_size: int = 128
    """Samples in one optimiser step, over all processes."""
    per_device_batch_size: int = 8
    """Samples one process handles at a time; the rest of the step is accumulated."""
    learning_rate: float = 2e-5
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.1
    """AdamW decay of matrices; vectors (biases, norms) have none."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    adam_beta2: float = 0.999
    """How slowly AdamW forgets squared gradients, 0..1."""
    lr_scheduler_type: Literal["linear-warmup+cosine-decay", "constant"] = "linear-warmup+cosine-decay"
    """Course of the learning rate."""
    warmup_ratio: float = 0.03
    """Share of the steps spent warming up, 0..1."""
    train_strategy: str = "fsdp-full-shard"
    """Registered strategy: single | ddp | fsdp-shard-grad-op | fsdp-full-shard | fsdp-full-shard-offload | hsdp."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters on the LLM instead of its weights; rank 0 means none."""

    def __post_init__(self) -> None:
        """Check what needs no knowledge of the machine; world-size questions are asked when the run starts."""
        for name in ("epochs", "global_batch_size", "per_device_batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.max_steps is not None and self.max_steps < 1:
            raise ConfigError(f"max_steps is {self.max_steps}; give at least 1, or null for whole epochs")
        if not 0 <= self.warmup_ratio <= 1:
            raise ConfigError(f"warmup_ratio is {self.warmup_ratio}; it is a share of the steps, 0..1")
        if not 0 <= self.adam_beta2 < 1:
            raise ConfigError(f"adam_beta2 is {self.adam_beta2}; it must be in [0, 1)")
        if self.learning_rate < 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must not be negative")

    def accumulation_steps(self, world_size: int) -> int:
        """Micro-batches of one optimiser step on each of `world_size` processes.

        Raises:
            ConfigError: the sizes do not divide.
        """
        at_once = self.per_device_batch_size * world_size
        if self.global_batch_size % at_once:
            raise ConfigError(
                f"global_batch_size {self.global_batch_size} is not a multiple of per_device_batch_size "
                f"{self.per_device_batch_size} x {world_size} processes = {at_once}; change one of them"
            )
        return self.global_batch_size // at_once
