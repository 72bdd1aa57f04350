"""Options of GRPO.  Defaults are TRL's (https://huggingface.co/docs/trl/grpo_trainer)."""

from dataclasses import dataclass, field
from typing import Any

from merv.errors import ConfigError
from merv.models.system_message import message_of
from merv.rl.advantages import Scale
from merv.rl.loss import LossType


@dataclass
class GrpoConfig:
    """How answers are sampled, scored and learnt from."""

    reward: list[str] = field(default_factory=list)
    """What answers are worth: names of `merv list rewards`, `plugin.py:function` or `package.module:name`."""
    reward_weights: list[float] = field(default_factory=list)
    """A factor for each reward; empty means 1 for all."""
    reward_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of built-in rewards by name, such as format.pattern."""
    num_generations: int = 8
    """Answers to each prompt; global_batch_size and per_device_batch_size count prompts."""
    temperature: float = 1.0
    """Of sampling; log-probabilities are those at this temperature."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together have this probability, 0..1."""
    top_k: int = 0
    """Sample from so many of the likeliest tokens; 0 means all."""
    max_completion_length: int = 256
    """Longest answer in tokens."""
    mask_truncated: bool = False
    """Learn nothing from answers that were cut at max_completion_length."""
    rollout_batch_size: int = 64
    """Answers sampled at a time on each process."""
    beta: float = 0.0
    """Weight of the divergence from the model the run started from; 0 needs no such model."""
    loss_type: LossType = "grpo"
    """How tokens are averaged: grpo: in an answer, then over answers; dapo: over all tokens of the step; dr-grpo: over
    answers, each token by the longest length."""
    scale_rewards: Scale = "group"
    """Standard deviation that advantages are divided by: of the prompt's answers, of the step's (batch), or none."""
    system: str = ""
    """System message of every prompt: a text, or the path of a file with it; empty leaves the rows' own."""
    log_completions: int = 1
    """Write the answers of every n-th step to completions.jsonl; 0 writes none."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name, least in (("num_generations", 2), ("max_completion_length", 1), ("rollout_batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        for name in ("top_k", "log_completions"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 0")
        self._check_sampling()
        self._check_rewards()

    def _check_sampling(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature is {self.temperature:g}; answers are sampled: it must be above 0")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p:g}; it is a probability above 0, up to 1")
        if not self.beta >= 0:
            raise ConfigError(f"beta is {self.beta:g}; it must not be negative")

    def _check_rewards(self) -> None:
        if not self.reward:
            raise ConfigError("reward is empty; name at least one, such as accuracy or plugin.py:function")
        if self.reward_weights and len(self.reward_weights) != len(self.reward):
            raise ConfigError(
                f"{len(self.reward_weights)} reward_weights for {len(self.reward)} rewards; give one each"
            )
        strange = sorted(set(self.reward_options) - set(self.reward))
        if strange:
            raise ConfigError(f"reward_options names `{strange[0]}`, which reward does not; it has {self.reward}")

    @property
    def weights(self) -> list[float]:
        """The factor of each reward."""
        return self.reward_weights or [1.0] * len(self.reward)

    def system_text(self) -> str:
        """The system message.

        Raises:
            ConfigError: `system` names a file that is missing, or no text.
        """
        return message_of(self.system)
