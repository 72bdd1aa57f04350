"""Fusion: the visual tokens of several encoders become one sequence.

The choices and their state-dict keys are those of MERV (https://arxiv.org/abs/2501.01426,
https://github.com/princetonvisualai/merv), so its weights load.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from draccus import ChoiceRegistry
from torch import Tensor, nn

from merv.errors import ConfigError
from merv.models.fusion_attention import QueryMatch
from merv.registry import Registry


class Fused(NamedTuple):
    """What a fusion gives."""

    tokens: Tensor
    """(B, num_tokens, D)."""
    weights: Tensor | None
    """(B, E) float32 share of each encoder, rows sum to 1; None when the fusion does not weigh encoders."""


class Fusion(nn.Module, ABC):
    """Visual tokens of E encoders in, one sequence out."""

    num_tokens: int
    """Visual tokens of one clip after fusion."""

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V_i, D) -> tokens (B, num_tokens, D) and, where there are any, weights (B, E)."""


@dataclass
class FusionConfig(Registry, ChoiceRegistry, kind="fusion"):
    """How encoders are joined."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion of encoders that give `num_tokens` tokens of width `dim`.

        Raises:
            ConfigError: the encoders' token counts differ where they have to agree.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")

    def _common(self, num_tokens: list[int]) -> int:
        """The token count all encoders share; an encoder with one token is repeated to it."""
        counts = sorted({count for count in num_tokens if count != 1}) or [1]
        if len(counts) > 1:
            raise ConfigError(
                f"fusion `{self.type_name}`: the encoders give {num_tokens} tokens, but they have to agree (or be 1); "
                f"set tokens_per_frame and output_frames of the projectors, or choose the fusion `concat`"
            )
        return counts[0]


@FusionConfig.register_subclass("first")
@dataclass
class FirstConfig(FusionConfig):
    """Only the first encoder's tokens."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        return First(num_tokens[0])


class First(Fusion):
    """Passes the first encoder on."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens

    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V_i, D) -> (B, V_0, D)."""
        # The other projectors get a gradient of zero: DDP waits for every trained parameter.
        others = sum((0 * tokens.mean() for tokens in features[1:]), start=features[0].new_zeros(()))
        return Fused(features[0] + others, None)


@FusionConfig.register_subclass("concat")
@dataclass
class ConcatConfig(FusionConfig):
    """All tokens, encoder after encoder."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        return Concat(sum(num_tokens))


class Concat(Fusion):
    """Joins along the sequence."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens

    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V_i, D) -> (B, sum of V_i, D)."""
        return Fused(torch.cat(features, dim=1), None)


@FusionConfig.register_subclass("concat_channel")
@dataclass
class ConcatChannelConfig(FusionConfig):
    """Tokens of the same place are joined along the channels and projected to one."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        return ConcatChannel(self._common(num_tokens), OrderedDict(projector=nn.Linear(len(num_tokens) * dim, dim)))


@FusionConfig.register_subclass("concat_channel_ln")
@dataclass
class ConcatChannelLayerNormConfig(FusionConfig):
    """As concat_channel, with a layer norm before the projection."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        width = len(num_tokens) * dim
        projection = nn.Sequential(OrderedDict(projector=nn.Linear(width, dim)))
        return ConcatChannel(self._common(num_tokens), OrderedDict({"0": nn.LayerNorm(width), "1": projection}))


class ConcatChannel(Fusion):
    """Joins along the channels, then applies `layers` in order, each under its name in published weights."""

    def __init__(self, num_tokens: int, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V, D) -> (B, V, D)."""
        tokens = torch.cat([_repeated(tokens, self.num_tokens) for tokens in features], dim=-1)
        for layer in self.children():
            tokens = layer(tokens)
        return Fused(tokens, None)


@FusionConfig.register_subclass("cross_attention")
@dataclass
class CrossAttentionConfig(FusionConfig):
    """Weights of the encoders from a learned query; the tokens are their weighted sum."""

    embed_dim: int = 3072
    """Width the query and the encoders are compared in."""
    average_tokens: bool = True
    """Compare with the mean token of an encoder; otherwise with all its tokens side by side, a very wide layer."""
    positional_embedding: bool = False
    """Add a learned vector for each encoder to its mean token."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.embed_dim < 1:
            raise ConfigError(f"fusion `cross_attention`: embed_dim is {self.embed_dim}; it must be at least 1")
        if self.positional_embedding and not self.average_tokens:
            raise ConfigError(
                "fusion `cross_attention`: positional_embedding is added to mean tokens; set average_tokens to true"
            )

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        return CrossAttention(self, self._common(num_tokens), len(num_tokens), dim)


class CrossAttention(Fusion):
    """Softmax over encoders of a learned query's match with each."""

    def __init__(self, config: CrossAttentionConfig, num_tokens: int, num_encoders: int, dim: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.average_tokens = config.average_tokens
        self.Q = nn.Parameter(torch.empty(1, config.embed_dim))
        self.pe = nn.Parameter(torch.empty(num_encoders, dim)) if config.positional_embedding else None
        self.attention = QueryMatch(config.embed_dim, dim if config.average_tokens else num_tokens * dim)
        for vectors in (self.Q, self.pe):
            if vectors is not None:
                nn.init.xavier_uniform_(vectors)

    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V or 1, D) -> tokens (B, V, D), weights (B, E)."""
        tokens_BEVD = torch.stack([_repeated(tokens, self.num_tokens) for tokens in features], dim=1)
        keys_BEK = tokens_BEVD.mean(2) if self.average_tokens else tokens_BEVD.flatten(2)
        if self.pe is not None:
            keys_BEK = keys_BEK + self.pe
        weights_BE = self.attention(self.Q, keys_BEK)
        return Fused(_weighted_sum(weights_BE, tokens_BEVD), weights_BE)


@FusionConfig.register_subclass("scalar")
@dataclass
class ScalarConfig(FusionConfig):
    """One learned weight for each encoder, the same for every clip; all begin equal."""

    def build(self, num_tokens: list[int], dim: int) -> Fusion:
        """Make the fusion."""
        return Scalar(self._common(num_tokens), len(num_tokens))


class Scalar(Fusion):
    """Softmax over one number for each encoder."""

    def __init__(self, num_tokens: int, num_encoders: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.scalar = nn.Parameter(torch.zeros(num_encoders))
        self.register_load_state_dict_pre_hook(_keep_own_scalars)

    def forward(self, features: list[Tensor]) -> Fused:
        """E tensors (B, V or 1, D) -> tokens (B, V, D), weights (B, E)."""
        tokens_BEVD = torch.stack([_repeated(tokens, self.num_tokens) for tokens in features], dim=1)
        weights_BE = self.scalar.softmax(dim=0, dtype=torch.float32).expand(len(tokens_BEVD), -1)
        return Fused(_weighted_sum(weights_BE, tokens_BEVD), weights_BE)


def _keep_own_scalars(module: Scalar, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take the first E numbers of a published weight, which has four whatever the number of encoders."""
    key = f"{prefix}scalar"
    if key in state and len(state[key]) == 4:
        state[key] = state[key][: len(module.scalar)]


def _repeated(tokens: Tensor, num_tokens: int) -> Tensor:
    return tokens.expand(-1, num_tokens, -1)


def _weighted_sum(weights_BE: Tensor, tokens_BEVD: Tensor) -> Tensor:
    return torch.einsum("be,bevd->bvd", weights_BE.to(tokens_BEVD.dtype), tokens_BEVD)
