"""The layers of a grounding head: fusion with the query, a pyramid over time, and what speaks at its points.

They compute what VideoMind's do (https://github.com/yeliudev/VideoMind, videomind/model/blocks.py; its encoder layers
are those of https://github.com/yeliudev/nncore), and names of parts follow its state dict, so that its weights load.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["silu", "gelu", "relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU, "relu": nn.ReLU}
TEMPERATURE = 10000


def relative_positions(mask: Tensor, dims: int) -> Tensor:
    """Sines and cosines of where in its row a step stands: 2 pi at the row's own last step.  (R, T) -> (R, T, dims).

    Args:
        mask: True on real steps.
        dims: width, even.
    """
    place = mask.cumsum(1).float()
    place = place / (place[:, -1:] + 1e-6) * (2 * math.pi)
    channel = torch.arange(0, dims, 2, device=mask.device)
    angle = place[..., None] / TEMPERATURE ** (channel / dims)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(2)


class TypeEmbedding(nn.Module):
    """A learned vector that tells steps from queries."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(1, 1, dims))

    def forward(self, tokens: Tensor) -> Tensor:
        """(R, L, d) -> (R, L, d)."""
        return tokens + self.weights


class SelfAttention(nn.Module):
    """Attention among the tokens of a row."""

    def __init__(self, dims: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.m = (nn.Linear(dims, dims) for _ in range(4))

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        """Tokens (R, L, d), known (R, L) bool: those that may be looked at -> (R, L, d)."""
        query, key, value = (
            layer(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=known[:, None, None])
        return self.m(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, dims: int, activation: Activation) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(dims, 4 * dims), ACTIVATIONS[activation](), nn.Linear(4 * dims, dims))

    def forward(self, tokens: Tensor) -> Tensor:
        """(R, L, d) -> (R, L, d)."""
        return self.mapping(tokens)


class FusionLayer(nn.Module):
    """A pre-norm encoder layer whose branches are left out, row by row, in `drop_path` of the training steps."""

    def __init__(self, dims: int, num_heads: int, activation: Activation, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.self_att = SelfAttention(dims, num_heads)
        self.self_att_norm = nn.LayerNorm(dims)
        self.ffn = FeedForward(dims, activation)
        self.ffn_norm = nn.LayerNorm(dims)

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        """Tokens (R, L, d), known (R, L) bool -> (R, L, d)."""
        tokens = tokens + self._drop(self.self_att(self.self_att_norm(tokens), known))
        return tokens + self._drop(self.ffn(self.ffn_norm(tokens)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return torch.where(kept, branch / keep, 0.0)


class SwapAxes(nn.Module):
    """(R, L, d) <-> (R, d, L), between what layers over channels and convolutions over time expect."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Exchange the last two axes."""
        return tokens.transpose(-1, -2)


class ConvPyramid(nn.Module):
    """Time at several strides; each level halves the first one as often as its stride asks for."""

    def __init__(self, dims: int, strides: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.blocks = nn.ModuleList(self._block(dims, stride.bit_length() - 1, activation) for stride in strides)

    @staticmethod
    def _block(dims: int, halvings: int, activation: Activation) -> nn.Module:
        if halvings == 0:
            return ACTIVATIONS[activation]()
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [SwapAxes(), nn.Conv1d(dims, dims, 2, stride=2), SwapAxes()]
            layers += [nn.LayerNorm(dims), ACTIVATIONS[activation]()]
        return nn.Sequential(*layers)

    def forward(self, steps: Tensor) -> list[Tensor]:
        """(R, L, d) -> (R, L // stride, d) for each stride that fits into L; a step beyond the last stride is lost."""
        return [
            block(steps) for stride, block in zip(self.strides, self.blocks, strict=True) if steps.shape[1] >= stride
        ]


class ConvHead(nn.Module):
    """Two convolutions over time that speak at every point of a level."""

    def __init__(self, dims: int, out_dims: int, activation: Activation) -> None:
        super().__init__()
        self.module = nn.Sequential(
            SwapAxes(),
            nn.Conv1d(dims, dims, 3, padding=1),
            ACTIVATIONS[activation](),
            nn.Conv1d(dims, out_dims, 3, padding=1),
            SwapAxes(),
        )

    def forward(self, level: Tensor, present: Tensor) -> Tensor:
        """Level (R, L, d), present (R, L) bool: where the row, alone, would have points -> (R, L, out_dims).

        Both convolutions see zeros elsewhere, as they do past the end of a row that is alone.
        """
        into, first, activate, last, back = self.module
        absent = ~present[:, None]
        hidden = activate(first(into(level).masked_fill(absent, 0)))
        return back(last(hidden.masked_fill(absent, 0)))


class LevelScale(nn.Module):
    """A learned factor for each level of the pyramid."""

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_levels))

    def forward(self, level: Tensor, number: int) -> Tensor:
        """(...) -> (...) float32."""
        return level * self.scale[number].float()
