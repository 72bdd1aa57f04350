"""The contract of a video encoder: what it wants to see, and the grid of features it gives.

To add one, subclass `VideoBackboneConfig` and `VideoBackbone`; `merv.testing.check_video_backbone` tells whether the
result works under every strategy (docs/add_a_backbone.md).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from draccus import ChoiceRegistry
from torch import Tensor, nn

from merv.errors import ConfigError
from merv.registry import Registry
from merv.video.transforms import ClipTransform, Resize


@dataclass(frozen=True)
class FeatureGrid:
    """Shape of the features of one clip: (frames, height * width, dim).

    Tokens that are no places of a frame, such as class tokens among patches, are a row: height 1, width their number.
    """

    frames: int
    """Time steps after the encoder; fewer than the frames it saw when it has temporal strides."""
    height: int
    width: int
    dim: int

    @property
    def tokens_per_frame(self) -> int:
        """Spatial tokens of one time step."""
        return self.height * self.width

    @property
    def is_spatial(self) -> bool:
        """Whether tokens are places of a frame, so that neighbours may be pooled."""
        return self.height > 1 or self.width == 1


@dataclass
class VideoBackboneConfig(Registry, ChoiceRegistry, kind="video backbone"):
    """Options every video encoder has."""

    pretrained: ClassVar[bool] = True
    """Whether `build()` loads published weights; a saved model holds the others' weights itself."""

    num_frames: int = 8
    """Frames the encoder sees of a clip."""
    resize: Resize = "naive"
    """How frames become square: naive (aspect ignored) | crop (centre) | letterbox (padded)."""

    def __post_init__(self) -> None:
        """Refuse sizes no encoder can have."""
        if self.num_frames < 1:
            raise ConfigError(f"num_frames is {self.num_frames}; an encoder needs at least 1 frame")

    def is_published(self) -> bool:
        """Whether it loads weights anybody can get, which a saved model need not hold."""
        return self.pretrained

    def fetch(self) -> None:
        """Bring published weights to this disk before anything is built.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """

    def build(self) -> "VideoBackbone":
        """Make the encoder, weights included."""
        raise TypeError(f"{type(self).__name__} does not define build()")


class VideoBackbone(nn.Module, ABC):
    """uint8 frames in, a grid of features out."""

    framewise: ClassVar[bool] = False
    """True when every frame is encoded by itself: a still image is then encoded once, with any number of frames."""

    grid: FeatureGrid
    transform: ClipTransform
    num_frames: int

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Encode clips.  (B, T, 3, S, S) float, normalised -> (B, grid.frames, grid.height * grid.width, grid.dim).

        T is `num_frames`; a framewise encoder takes any T and gives T time steps.
        """

    def blocks(self) -> list[nn.Module]:
        """The repeated layers: what FSDP shards and activation checkpointing wraps, one by one."""
        return []
