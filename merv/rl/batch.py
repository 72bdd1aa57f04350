"""A micro-batch of sampled answers: what `merv.rl.policy` learns from in place of rows with answers of their own."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from merv.data.sample import Batch
from merv.models.prompted import Prompts


@dataclass
class RolloutBatch(Batch):
    """P prompts and N = P * G answers of up to T tokens; the fields of the base are those of the prompts."""

    asked: Batch = None  # type: ignore[assignment]  # always given; the base's fields have defaults
    """The prompts as the family's processor made them, padded on the left."""
    prompts: Prompts | None = None
    """The prompts as they were encoded for sampling, where encoding them again would give the same."""
    completions: Tensor = None  # type: ignore[assignment]
    """(N, T) int64, the answers to one prompt one after the other, padded on the right."""
    learned: Tensor = None  # type: ignore[assignment]
    """(N, T) bool: tokens that carry loss."""
    weights: Tensor = None  # type: ignore[assignment]
    """(N, T) float32: what each counts in the sum of losses."""
    advantages: Tensor = None  # type: ignore[assignment]
    """(N,) float32."""
    num_losses: int = 0
    """What this micro-batch adds to the number the step's sum is divided by: its tokens or its answers."""
    num_words: int = 0
    """Tokens of the answers."""

    @property
    def num_generations(self) -> int:
        """G, answers to each prompt."""
        return len(self.completions) // self.size

    def num_target_tokens(self) -> int:
        """What the loss is averaged over; see `merv.rl.loss`."""
        return self.num_losses

    def num_target_rows(self) -> int:
        """Heads learn nothing here."""
        return 0

    def num_visual_tokens(self, each: int) -> int:
        """Visual tokens of the prompts, each encoded once."""
        return self.asked.num_visual_tokens(each)

    def num_text_tokens(self) -> int:
        """Words of the prompts and of the answers."""
        return self.asked.num_text_tokens() + self.num_words

    def _map(self, fn: Any) -> "RolloutBatch":
        changed = super()._map(fn)
        assert isinstance(changed, RolloutBatch)
        changed.asked = self.asked._map(fn)
        for name in ("completions", "learned", "weights", "advantages"):
            setattr(changed, name, fn(getattr(self, name)))
        return changed
