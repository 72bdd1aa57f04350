"""Projectors: the features of one encoder become visual tokens as wide as the LLM's embeddings.

The choices are those of MERV (https://arxiv.org/abs/2501.01426): pooling, convolution or attention brings every
encoder to a common number of tokens, and a linear layer or an MLP to the LLM's width.
"""

import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from draccus import ChoiceRegistry
from torch import nn

from merv.backbones.video.base import FeatureGrid
from merv.errors import ConfigError
from merv.models.projector_modules import (
    AttentiveProjector,
    FrameProjector,
    Projector,
    TokenProjector,
    VolumeProjector,
    token_layers,
)
from merv.registry import Registry

__all__ = ["Projector", "ProjectorConfig"]

logger = logging.getLogger(__name__)


@dataclass
class ProjectorConfig(Registry, ChoiceRegistry, kind="projector"):
    """What stands between one encoder and the fusion."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector for an encoder that gives `grid`.

        Args:
            grid: shape of the encoder's features.
            out_dim: width of the LLM's embeddings.
            tokens_per_frame: the size the model's encoders share, used where the config says None.
            output_frames: likewise.

        Raises:
            ConfigError: the grid cannot be brought to these sizes.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")


@dataclass
class TokenConfig(ProjectorConfig):
    """Options of projectors that keep all frames * height * width tokens, whatever size the model's encoders share."""

    layers: ClassVar[str]

    pre_layernorm: bool = False
    """Normalise features before the first layer."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector; the shared sizes are not used."""
        return TokenProjector(grid, token_layers(self.layers, grid.dim, out_dim), pre_layernorm=self.pre_layernorm)


@ProjectorConfig.register_subclass("linear")
@dataclass
class LinearConfig(TokenConfig):
    """One linear layer."""

    layers = "linear"


@ProjectorConfig.register_subclass("mlp")
@dataclass
class MlpConfig(TokenConfig):
    """Two linear layers with GELU between them."""

    layers = "gelu-mlp"


@ProjectorConfig.register_subclass("mlp-deep")
@dataclass
class MlpDeepConfig(TokenConfig):
    """Three linear layers with GELU between them."""

    layers = "gelu-mlp-deep"


@ProjectorConfig.register_subclass("fused-mlp")
@dataclass
class FusedMlpConfig(TokenConfig):
    """Three linear layers with GELU between them, the first four times as wide as the features."""

    layers = "fused-gelu-mlp"


@dataclass
class ResamplerConfig(ProjectorConfig):
    """Options of projectors that give the asked number of tokens of each frame and keep the frames."""

    tokens_per_frame: int | None = None
    """Visual tokens of each frame; None means the model's projector_token_length."""
    mlp: Literal["linear", "gelu-mlp", "fused-gelu-mlp"] = "linear"
    """Layers that change the width: as in the projectors linear, mlp, fused-mlp."""

    def tokens(self, shared: int) -> int:
        """Tokens of each frame.

        Raises:
            ConfigError: less than one.
        """
        tokens = shared if self.tokens_per_frame is None else self.tokens_per_frame
        if tokens < 1:
            raise ConfigError(
                f"projector `{self.type_name}`: tokens_per_frame is {tokens}; a frame needs at least 1 token"
            )
        return tokens

    def frames(self, grid: FeatureGrid, shared: int) -> int:
        """Frames of the output.

        Raises:
            ConfigError: the encoder gives another number of frames than the model's encoders share.
        """
        if grid.frames != shared:
            raise ConfigError(
                f"projector `{self.type_name}` keeps all frames of encoder grid {_describe(grid)}, but the model's "
                f"visual_feature_length // projector_token_length asks for {shared}; set the encoder's num_frames so "
                f"that they agree, or choose the projector avg3d or conv3d"
            )
        return shared

    def size(self, grid: FeatureGrid, tokens_per_frame: int, output_frames: int) -> tuple[int, int, int]:
        """Frames, height and width of the output.

        Raises:
            ConfigError: the tokens of a frame do not form a square, or the encoder's are no places of a frame.
        """
        tokens, largest = self.tokens(tokens_per_frame), min(grid.height, grid.width)
        side = math.isqrt(tokens)
        if not grid.is_spatial:
            raise ConfigError(
                f"projector `{self.type_name}` cannot pool encoder grid {_describe(grid)}: its tokens are no places "
                "of a frame; choose the projector linear or mlp, or the encoder's variant with patches only"
            )
        if side**2 != tokens:
            raise ConfigError(
                f"projector `{self.type_name}` cannot pool encoder grid {_describe(grid)} to {tokens} tokens a frame; "
                f"set tokens_per_frame (or the model's projector_token_length) to a square, best up to {largest**2}"
            )
        if side > largest:  # as the original's single-encoder model with Hiera, 49 places to 64 tokens
            logger.warning(
                "projector %s: %d tokens a frame of %d places; some are repeated", self.type_name, tokens, largest**2
            )
        return self.frames(grid, output_frames), side, side


@dataclass
class TemporalResamplerConfig(ResamplerConfig):
    """Options of projectors that pool frames as well."""

    output_frames: int | None = None
    """Frames after pooling; None means the model's visual_feature_length // projector_token_length."""

    def frames(self, grid: FeatureGrid, shared: int) -> int:
        """Frames after pooling.

        Raises:
            ConfigError: none, or more than the encoder gives.
        """
        frames = shared if self.output_frames is None else self.output_frames
        if not 1 <= frames <= grid.frames:
            raise ConfigError(
                f"projector `{self.type_name}` cannot pool encoder grid {_describe(grid)} to {frames} frames; set "
                f"output_frames (or the model's visual_feature_length // projector_token_length) to 1..{grid.frames}"
            )
        return frames


@ProjectorConfig.register_subclass("avg2d")
@dataclass
class Avg2dConfig(ResamplerConfig):
    """Means over windows of each frame; windows overlap where sizes do not divide."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector."""
        size = self.size(grid, tokens_per_frame, output_frames)
        return VolumeProjector(grid, size, nn.AdaptiveAvgPool3d(size), token_layers(self.mlp, grid.dim, out_dim))


@ProjectorConfig.register_subclass("avg3d")
@dataclass
class Avg3dConfig(TemporalResamplerConfig):
    """Means over windows of time, height and width; MERV's best."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector."""
        size = self.size(grid, tokens_per_frame, output_frames)
        return VolumeProjector(grid, size, nn.AdaptiveAvgPool3d(size), token_layers(self.mlp, grid.dim, out_dim))


@ProjectorConfig.register_subclass("conv3d")
@dataclass
class Conv3dConfig(TemporalResamplerConfig):
    """A 3 x 3 x 3 convolution, then means over windows of time, height and width."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector."""
        size = self.size(grid, tokens_per_frame, output_frames)
        convolution = nn.Conv3d(grid.dim, out_dim, kernel_size=3, padding=1)
        pooling = nn.Sequential(convolution, nn.AdaptiveAvgPool3d(size))
        return VolumeProjector(grid, size, pooling, token_layers(self.mlp, out_dim, out_dim))


@ProjectorConfig.register_subclass("conv2d")
@dataclass
class Conv2dConfig(ResamplerConfig):
    """RegNet blocks before and after the pooling of each frame: Honeybee's C-Abstractor (arxiv.org/abs/2312.06742)."""

    depth: int = 3
    """Blocks on either side of the pooling."""

    def __post_init__(self) -> None:
        """Refuse a depth without blocks."""
        if self.depth < 1:
            raise ConfigError(f"projector `conv2d`: depth is {self.depth}; it needs at least 1 block")

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector."""
        from timm.layers import LayerNorm2d
        from timm.models.regnet import RegStage

        size = self.size(grid, tokens_per_frame, output_frames)
        stage = partial(RegStage, self.depth, stride=1, dilation=1, act_layer=nn.SiLU, norm_layer=LayerNorm2d)
        before, after = stage(in_chs=grid.dim, out_chs=out_dim), stage(in_chs=out_dim, out_chs=out_dim)
        pooling = nn.Sequential(before, nn.AdaptiveAvgPool2d(size[1:]), after)
        return FrameProjector(grid, size, pooling, token_layers(self.mlp, out_dim, out_dim))


@ProjectorConfig.register_subclass("attentive")
@dataclass
class AttentiveConfig(ResamplerConfig):
    """Learned queries attend to each frame; their number need not be a square, nor smaller than the grid."""

    num_heads: int = 8
    """Attention heads; they share the encoder's width."""

    def build(self, grid: FeatureGrid, out_dim: int, *, tokens_per_frame: int, output_frames: int) -> Projector:
        """Make the projector.

        Raises:
            ConfigError: the encoder's width is not a multiple of num_heads, or the number of frames does not fit.
        """
        if self.num_heads < 1 or grid.dim % self.num_heads:
            raise ConfigError(
                f"projector `attentive`: num_heads {self.num_heads} does not divide the width of encoder grid "
                f"{_describe(grid)}; set num_heads to a divisor of {grid.dim}"
            )
        self.frames(grid, output_frames)
        layers = token_layers(self.mlp, grid.dim, out_dim)
        return AttentiveProjector(grid, self.tokens(tokens_per_frame), self.num_heads, layers)


def _describe(grid: FeatureGrid) -> str:
    return f"{grid.frames} x {grid.height} x {grid.width} x {grid.dim} (frames, height, width, dim)"
