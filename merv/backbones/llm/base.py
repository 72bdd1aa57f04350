"""The contract of a language model: embeddings in, hidden states out, and a tokenizer with its prompt template.

One class serves every causal LLM of transformers; what differs stands in its config.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from draccus import ChoiceRegistry
from torch import Tensor, nn

from merv.backbones.llm.prompts import PromptTemplate
from merv.errors import ConfigError
from merv.registry import Registry


@dataclass
class LLMConfig(Registry, ChoiceRegistry, kind="LLM backbone"):
    """Options every language model has."""

    pretrained: ClassVar[bool] = True
    """Whether `build()` loads published weights; a saved model holds the others' weights itself."""

    max_length: int = 2048
    """Longest row in tokens, visual tokens included."""

    def __post_init__(self) -> None:
        """Refuse a length nothing fits into."""
        if self.max_length < 8:
            raise ConfigError(f"llm max_length is {self.max_length} tokens; it must be at least 8")

    def build(self) -> "LLM":
        """Make the model and its tokenizer, weights included."""
        raise TypeError(f"{type(self).__name__} does not define build()")


class LLM(nn.Module):
    """A causal language model of transformers, driven by embeddings."""

    def __init__(self, model: Any, tokenizer: Any, template: PromptTemplate, *, max_length: int) -> None:
        """Wrap `model` (a ...ForCausalLM) and its `tokenizer`, which must know a padding token."""
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.template = template
        self.max_length = max_length

    @property
    def dim(self) -> int:
        """Width of its token embeddings."""
        return self.model.config.hidden_size

    def embed(self, ids: Tensor) -> Tensor:
        """(B, L) int64 -> (B, L, D)."""
        return self.model.get_input_embeddings()(ids)

    def forward(self, embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states before the head.  (B, L, D), (B, L) bool -> (B, L, D)."""
        decoder = self.model.get_decoder()
        positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)
        return decoder(
            inputs_embeds=embeds, attention_mask=attention_mask, position_ids=positions, use_cache=False
        ).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        return self.model.get_output_embeddings()(hidden)

    @torch.inference_mode()
    def generate(self, embeds: Tensor, attention_mask: Tensor, **options: Any) -> Tensor:
        """New token ids of left-padded prompts.  (B, L, D), (B, L) bool -> (B, <= max_new_tokens)."""
        options = {"max_new_tokens": 32, "do_sample": False, **options}
        return self.model.generate(
            inputs_embeds=embeds,
            attention_mask=attention_mask.long(),
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            **options,
        )

    def blocks(self) -> list[nn.Module]:
        """The decoder layers."""
        return list(self.model.get_decoder().layers)
