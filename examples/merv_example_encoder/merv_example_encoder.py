"""A video encoder in a package of its own: once installed, `example-encoder` can be chosen on merv's command line."""

from torch import Tensor, nn

from merv.backbones.video import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.video.transforms import ClipTransform, View


@VideoBackboneConfig.register_subclass("example-encoder")
class ExampleConfig(VideoBackboneConfig):
    pretrained = False  # nobody can download its weights, so a saved model holds them

    def build(self) -> "ExampleEncoder":
        return ExampleEncoder(self)


class ExampleEncoder(VideoBackbone):
    framewise = True  # each frame by itself: a still image is encoded once

    def __init__(self, config: VideoBackboneConfig) -> None:
        super().__init__()
        self.num_frames = config.num_frames
        self.grid = FeatureGrid(config.num_frames, height=4, width=4, dim=32)
        self.transform = ClipTransform(View(32, config.resize), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.patches = nn.Conv2d(3, 32, kernel_size=8, stride=8)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, 32, 32) float -> (B, T, 16, 32)."""
        return self.patches(pixels.flatten(0, 1)).relu().flatten(2).mT.unflatten(0, pixels.shape[:2])
