"""Sizes of a language model as Megatron-core needs them, read from a Hugging Face config, and what divides them."""

from dataclasses import dataclass
from typing import Any

from merv.errors import ConfigError

MODEL_TYPES = ("qwen2", "llama", "qwen2_vl", "qwen2_5_vl")
"""`model_type` of a config.json that the table of `merv.export.mapping` describes."""


@dataclass(frozen=True)
class Sizes:
    """What tells the shape of every tensor of a decoder."""

    num_layers: int
    hidden_size: int
    num_heads: int
    """Heads of queries."""
    num_groups: int
    """Heads of keys and values, each shared by num_heads / num_groups queries."""
    head_dim: int
    ffn_size: int
    """Width of the MLP's gate, and of its other half."""
    vocab_size: int
    """Rows of the embeddings, without padding."""
    tied: bool
    """Whether the output layer is the embeddings."""
    has_qkv_bias: bool

    @property
    def qkv_size(self) -> int:
        """Rows of queries, keys and values together."""
        return (self.num_heads + 2 * self.num_groups) * self.head_dim

    @classmethod
    def of(cls, config: Any) -> "Sizes":
        """Those in a transformers config.

        Raises:
            ConfigError: the table does not describe such models.
        """
        if config.model_type not in MODEL_TYPES:
            raise ConfigError(
                f"there is no table of Megatron-core names for model type `{config.model_type}`; there are: "
                f"{', '.join(MODEL_TYPES)}"
            )
        text = config.get_text_config()
        return cls(
            num_layers=text.num_hidden_layers,
            hidden_size=text.hidden_size,
            num_heads=text.num_attention_heads,
            num_groups=text.num_key_value_heads,
            head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
            ffn_size=text.intermediate_size,
            vocab_size=text.vocab_size,
            tied=bool(config.tie_word_embeddings),
            has_qkv_bias=config.model_type != "llama",
        )

    def check_divides(self, tp: int, pp: int) -> None:
        """Refuse a layout in which ranks would hold unequal parts.

        Raises:
            ConfigError: names what is not divided.
        """
        if tp < 1 or pp < 1:
            raise ConfigError(f"--tp {tp} --pp {pp} is no layout; each is at least 1")
        parts = {
            "attention heads": self.num_heads,
            "groups of keys and values": self.num_groups,
            "columns of the MLP": self.ffn_size,
        }
        for what, number in parts.items():
            if number % tp:
                raise ConfigError(
                    f"--tp {tp} does not divide the {number} {what}; choose one of {_divisors(*parts.values())}"
                )
        if self.num_layers % pp:
            raise ConfigError(
                f"--pp {pp} does not divide the {self.num_layers} layers; choose one of {_divisors(self.num_layers)}"
            )

    def padded_vocab_size(self, divisible_by: int, tp: int) -> int:
        """Rows of the embeddings once each of `tp` ranks has a multiple of `divisible_by`."""
        step = divisible_by * tp
        return -(-self.vocab_size // step) * step


def _divisors(*numbers: int) -> str:
    common = [n for n in range(1, min(numbers) + 1) if not any(number % n for number in numbers)]
    return ", ".join(map(str, common))
