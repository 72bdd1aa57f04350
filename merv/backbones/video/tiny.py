"""Small video encoders with random weights, for the demo, the tests and CI: convolutions and transformer layers."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.errors import ConfigError
from merv.video.transforms import ClipTransform, View


@VideoBackboneConfig.register_subclass("tiny-frames")
@dataclass
class TinyVideoConfig(VideoBackboneConfig):
    """A tiny ViT; framewise, or with attention over time after every spatial layer."""

    pretrained: ClassVar[bool] = False

    image_size: int = 32
    """Side of the square frame, pixels."""
    patch_size: int = 4
    """Side of a patch, pixels: a power of two that divides `image_size`."""
    tubelet: int = 1
    """Frames one patch spans; divides `num_frames`."""
    dim: int = 96
    """Width of the features."""
    depth: int = 1
    """Transformer layers."""
    num_heads: int = 4
    """Attention heads."""
    temporal: bool = False
    """Whether patches attend over time as well."""

    def __post_init__(self) -> None:
        """Check that patches tile the clip."""
        super().__post_init__()
        if self.patch_size < 2 or self.patch_size & (self.patch_size - 1):
            raise ConfigError(f"patch_size is {self.patch_size}; it must be a power of two, at least 2")
        if self.image_size % self.patch_size or self.num_frames % self.tubelet:
            raise ConfigError(
                f"patches of {self.tubelet} frames x {self.patch_size} px do not tile {self.num_frames} frames of "
                f"{self.image_size} px; choose divisors"
            )

    def build(self) -> "TinyVideoBackbone":
        """Draw the weights from torch's generator."""
        return TinyVideoBackbone(self)


TinyVideoConfig.preset("tiny-coarse", patch_size=8)
TinyVideoConfig.preset("tiny-motion", tubelet=2, temporal=True)


class TinyVideoBackbone(VideoBackbone):
    """A convolutional stem, then layers that attend within a frame and, if temporal, over time."""

    def __init__(self, config: TinyVideoConfig) -> None:
        """Build from `config` with random weights."""
        super().__init__()
        self.framewise = not config.temporal and config.tubelet == 1  # type: ignore[misc]
        self.num_frames = config.num_frames
        side = config.image_size // config.patch_size
        self.grid = FeatureGrid(config.num_frames // config.tubelet, side, side, config.dim)
        self.transform = ClipTransform(View(config.image_size, config.resize), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.tubelet = config.tubelet
        self.stem = _stem(3 * config.tubelet, config.dim, config.patch_size)
        self.stem_norm = nn.LayerNorm(config.dim)
        # A temporal encoder scales its features by place and time instead of adding a place to them: averaged over
        # space and time, as projectors do, they then still tell where something was, and when.
        self.position = nn.Parameter(torch.randn(side * side, config.dim) * (1.0 if config.temporal else 0.5))
        self.time = nn.Parameter(torch.randn(self.grid.frames, 1, config.dim)) if config.temporal else None
        axes: list[Literal["space", "time"]] = ["space", "time"] if config.temporal else ["space"]
        self.layers = nn.ModuleList(
            TinyLayer(config.dim, config.num_heads, axis) for _ in range(config.depth) for axis in axes
        )
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) float -> (B, T / tubelet, N, D)."""
        x = self.stem(rearrange(pixels, "b (t k) c h w -> (b t) (k c) h w", k=self.tubelet))
        x = self.stem_norm(rearrange(x, "(b t) d h w -> b t (h w) d", b=len(pixels)))
        x = x + self.position if self.time is None else x * self.position * self.time
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def blocks(self) -> list[nn.Module]:
        """The transformer layers."""
        return list(self.layers)


def _stem(channels: int, dim: int, patch_size: int) -> nn.Sequential:
    """Convolutions that halve the side until a patch is one point.  (B, C, S, S) -> (B, dim, S / patch, S / patch)."""
    layers: list[nn.Module] = []
    halvings = patch_size.bit_length() - 1
    for left in reversed(range(halvings)):
        width = dim >> left
        layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.GELU()]
        channels = width
    return nn.Sequential(*layers)


class TinyLayer(nn.Module):
    """Pre-norm attention along one axis, and a feed-forward layer.  (B, T, N, D) -> (B, T, N, D)."""

    def __init__(self, dim: int, num_heads: int, axis: Literal["space", "time"]) -> None:
        """Attend over the `axis` of (B, T, N, D)."""
        super().__init__()
        self.axis = axis
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then transform each token."""
        if self.axis == "time":
            x = x.transpose(1, 2)
        q, k, v = rearrange(self.qkv(self.norm(x)), "b s l (n h d) -> n b s h l d", n=3, h=self.num_heads)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(rearrange(attended, "b s h l d -> b s l (h d)"))
        if self.axis == "time":
            x = x.transpose(1, 2)
        return x + self.mlp(x)
