"""The modules behind merv.models.projectors: what they compute, free of options and checks.

Names of the parts follow the state dict of MERV (https://github.com/princetonvisualai/merv), so its weights load.
"""

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from merv.backbones.video.base import FeatureGrid


class Projector(nn.Module, ABC):
    """Features of one encoder in, visual tokens out."""

    num_tokens: int
    """Visual tokens of one clip."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, num_tokens, out_dim), frame after frame."""

    def reduce(self, features: Tensor) -> Tensor:
        """As much of the work as has no parameters: what a feature cache keeps.  (B, T, N, D) -> (B, ...)."""
        return features

    def project(self, reduced: Tensor) -> Tensor:
        """The rest: `project(reduce(x))` is `forward(x)`.  (B, ...) -> (B, num_tokens, out_dim)."""
        return self(reduced)

    @property
    def reduction(self) -> str:
        """What `reduce` does, in a word that differs when its result does."""
        return "none"


def token_layers(layers: str, in_dim: int, out_dim: int) -> nn.Module:
    """Linear layers with GELU between them: linear | gelu-mlp | gelu-mlp-deep | fused-gelu-mlp."""
    widths = {
        "linear": (in_dim, out_dim),
        "gelu-mlp": (in_dim, out_dim, out_dim),
        "gelu-mlp-deep": (in_dim, out_dim, out_dim, out_dim),
        "fused-gelu-mlp": (in_dim, 4 * in_dim, out_dim, out_dim),
    }[layers]
    first, *rest = [nn.Linear(before, after) for before, after in pairwise(widths)]
    if not rest:
        return first
    return nn.Sequential(first, *(module for layer in rest for module in (nn.GELU(), layer)))


class TokenProjector(Projector):
    """Layers on every token by itself; all tokens stay."""

    def __init__(self, grid: FeatureGrid, layers: nn.Module, *, pre_layernorm: bool) -> None:
        super().__init__()
        self.num_tokens = grid.frames * grid.tokens_per_frame
        self.layernorm = nn.LayerNorm(grid.dim) if pre_layernorm else nn.Identity()
        self.projector = layers

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, T * N, out_dim)."""
        return self.projector(self.layernorm(features.flatten(1, 2)))


class _Resampler(Projector):
    """`pooling` changes the number of tokens, `layers` their width."""

    def __init__(self, grid: FeatureGrid, size: tuple[int, int, int], pooling: nn.Module, layers: nn.Module) -> None:
        super().__init__()
        self.num_tokens = math.prod(size)
        self.size = size
        self.height = grid.height
        self.convolution_pooling = pooling
        self.projector = _nested(layers)


class VolumeProjector(_Resampler):
    """Pools time, height and width together."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, H * W, D) -> (B, T' * H' * W', out_dim)."""
        return self.project(self.reduce(features))

    def reduce(self, features: Tensor) -> Tensor:
        """Means have no parameters.  (B, T, H * W, D) -> (B, T' * H' * W', D); with a convolution nothing is done."""
        return self._pool(features) if self._only_means else features

    def project(self, reduced: Tensor) -> Tensor:
        """(B, T' * H' * W', D), or features that are still to be pooled -> (B, T' * H' * W', out_dim)."""
        return self.projector(reduced if self._only_means else self._pool(reduced))

    @property
    def reduction(self) -> str:
        """Size of the pooled grid."""
        return f"means of {self.size}" if self._only_means else "none"

    @property
    def _only_means(self) -> bool:
        return isinstance(self.convolution_pooling, nn.AdaptiveAvgPool3d)

    def _pool(self, features: Tensor) -> Tensor:
        volume = rearrange(features, "b t (h w) d -> b d t h w", h=self.height)
        return rearrange(self.convolution_pooling(volume), "b d t h w -> b (t h w) d")


class FrameProjector(_Resampler):
    """Pools every frame by itself."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, H * W, D) -> (B, T * H' * W', out_dim)."""
        images = rearrange(features, "b t (h w) d -> (b t) d h w", h=self.height)
        pooled = self.convolution_pooling(images)
        return self.projector(rearrange(pooled, "(b t) d h w -> b (t h w) d", b=len(features)))


class AttentiveProjector(Projector):
    """The same learned queries read every frame, as in V-JEPA's pooler (https://arxiv.org/abs/2404.08471)."""

    def __init__(self, grid: FeatureGrid, num_queries: int, num_heads: int, layers: nn.Module) -> None:
        super().__init__()
        self.num_tokens = grid.frames * num_queries
        self.query_tokens = nn.Parameter(torch.empty(1, num_queries, grid.dim))
        self.cross_attn = CrossAttentionBlock(grid.dim, num_heads)
        self.projector = _nested(layers)
        nn.init.trunc_normal_(self.query_tokens, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, N, D) -> (B, T * Q, out_dim)."""
        frames = features.flatten(0, 1)
        read = self.cross_attn(self.query_tokens.expand(len(frames), -1, -1), frames)
        return self.projector(rearrange(read, "(b t) q d -> b (t q) d", b=len(features)))


class CrossAttentionBlock(nn.Module):
    """Attention and feed-forward, both residual.  The context is normalised, the queries are not."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.xattn = CrossAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(dim, 4 * dim), act=nn.GELU(), fc2=nn.Linear(4 * dim, dim)),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(B, Q, D), (B, N, D) -> (B, Q, D)."""
        queries = queries + self.xattn(queries, self.norm1(context))
        return queries + self.mlp(self.norm2(queries))


class CrossAttention(nn.Module):
    """Multi-head attention from queries to context."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(B, Q, D), (B, N, D) -> (B, Q, D)."""
        query = self._heads(self.q(queries))
        key, value = (self._heads(half) for half in self.kv(context).chunk(2, dim=-1))
        read = F.scaled_dot_product_attention(query, key, value)
        return self.proj(rearrange(read, "b h q d -> b q (h d)"))

    def _heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (h d) -> b h n d", h=self.num_heads)


def _nested(layers: nn.Module) -> nn.Module:
    """The same layers one name deeper: published weights after a pooling are `projector.projector.*`."""
    return nn.Sequential(OrderedDict(projector=layers))
