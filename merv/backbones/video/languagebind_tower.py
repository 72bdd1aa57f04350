"""LanguageBind's video tower: CLIP's vision transformer, whose layers attend over time before they attend over space.

Our own module for the weights of https://github.com/PKU-YuanGroup/LanguageBind (MIT; https://arxiv.org/abs/2310.01852):
submodules are called what the published state dict calls them, and scripts/parity_languagebind.py compares the two.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from merv.errors import ConfigError

Activation = Literal["gelu", "quick_gelu"]

MAX_ROWS = 65_535
"""Sequences that one call of CUDA's attention kernels takes: a grid has no more blocks along its last dimension
(https://github.com/pytorch/pytorch/issues/142228).  255 groups of 257 tokens are just within it."""


@dataclass
class TowerConfig:
    """Numbers of the tower, called what `vision_config` in the published config.json calls them."""

    hidden_size: int = 1024
    """Width of the features."""
    intermediate_size: int = 4096
    """Width inside a layer's MLP."""
    num_hidden_layers: int = 24
    """Layers of the published tower; the last of them is not built: MERV takes what the one before it gives."""
    num_attention_heads: int = 16
    """Attention heads, over time as over space; divides `hidden_size`."""
    image_size: int = 224
    """Side of the square frame, pixels."""
    patch_size: int = 14
    """Side of a patch, pixels; divides `image_size`."""
    num_frames: int = 8
    """Frames that attend to each other; a longer clip is several such groups."""
    hidden_act: Activation = "gelu"
    """Nonlinearity of the MLP: gelu (exact) | quick_gelu (x times the sigmoid of 1.702 x)."""
    layer_norm_eps: float = 1e-5
    """What layer norms add to the variance."""

    def __post_init__(self) -> None:
        """Refuse numbers no tower can have."""
        least = {"num_hidden_layers": 2, "num_frames": 2}
        for name, kind in self.__annotations__.items():
            value = getattr(self, name)
            if kind is int and (type(value) is not int or value < least.get(name, 1)):
                raise ConfigError(f"{name} is {value!r}; give a whole number, at least {least.get(name, 1)}")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} does not split into {self.num_attention_heads} attention heads; "
                "choose a divisor"
            )
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"patches of {self.patch_size} px do not tile frames of {self.image_size} px; choose a divisor"
            )
        if self.hidden_act not in get_args(Activation):
            raise ConfigError(f"hidden_act is {self.hidden_act!r}; choose {' | '.join(get_args(Activation))}")

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch_size


class Tower(nn.Module):
    """Frames in, features of every patch and of a class token out, as the second to last layer leaves them."""

    def __init__(self, config: TowerConfig) -> None:
        """Build from `config` with random weights."""
        super().__init__()
        self.num_frames = config.num_frames
        self.embeddings = Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)  # the published name
        self.encoder = Encoder(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) float -> (B, T, 1 + N, D), the class token first; T is a multiple of the tower's frames."""
        num_clips, frames = pixels.shape[:2]
        assert frames % self.num_frames == 0, f"{frames} frames are no groups of {self.num_frames}"
        x = self.pre_layrnorm(self.embeddings(pixels.flatten(0, 1)))
        x = self.encoder(x.unflatten(0, (num_clips * frames // self.num_frames, self.num_frames)))
        return x.reshape(num_clips, frames, *x.shape[2:])


class Embeddings(nn.Module):
    """Patches and a class token, and where in the frame they are."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding(1 + config.patches_per_side**2, width)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, frames: Tensor) -> Tensor:
        """(F, 3, S, S) float -> (F, 1 + N, D)."""
        patches = self.patch_embedding(frames).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(frames), 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class Encoder(nn.Module):
    """The layers but the last, which nothing would read."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(G, t, 1 + N, D) -> the same shape, of G groups of t frames."""
        for layer in self.layers:
            x = layer(x)
        return x


class Layer(nn.Module):
    """Attention over time, attention over space, an MLP; each after a norm and beside a residual connection."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        norm = partial(nn.LayerNorm, width, eps=config.layer_norm_eps)
        self.temporal_embedding = nn.Parameter(torch.randn(1, config.num_frames, width) * width**-0.5)
        self.temporal_layer_norm1 = norm()
        self.temporal_attn = Attention(width, config.num_attention_heads)
        self.layer_norm1 = norm()
        self.self_attn = Attention(width, config.num_attention_heads)
        self.layer_norm2 = norm()
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        """(G, t, 1 + N, D) -> the same shape."""
        x = x + self.temporal_embedding[:, :, None]  # in every layer, and it stays in the residual stream
        tokens = x.shape[2]
        over_time = self.temporal_attn(rearrange(self.temporal_layer_norm1(x), "g t n d -> (g n) t d"))
        x = x + rearrange(over_time, "(g n) t d -> g t n d", n=tokens)
        over_space = self.self_attn(rearrange(self.layer_norm1(x), "g t n d -> (g t) n d"))
        x = x + over_space.view(x.shape)
        return x + self.mlp(self.layer_norm2(x))


class Attention(nn.Module):
    """Every token of a sequence attends to all of them."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(R, L, D) -> (R, L, D)."""
        projected = (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        q, k, v = (rearrange(part, "r l (h d) -> r h l d", h=self.num_heads) for part in projected)
        if len(x) <= MAX_ROWS:
            attended = scaled_dot_product_attention(q, k, v)
        else:
            pieces = zip(q.split(MAX_ROWS), k.split(MAX_ROWS), v.split(MAX_ROWS), strict=True)
            attended = torch.cat([scaled_dot_product_attention(*piece) for piece in pieces])
        return self.out_proj(rearrange(attended, "r h l d -> r l (h d)"))


class Mlp(nn.Module):
    """Two linear maps and the nonlinearity between them."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.activation = gelu if config.hidden_act == "gelu" else quick_gelu

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.fc2(self.activation(self.fc1(x)))


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation OpenAI's CLIP was trained with.  (...) -> (...)."""
    return x * torch.sigmoid(1.702 * x)
