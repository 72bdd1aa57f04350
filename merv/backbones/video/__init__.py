"""Video encoders; importing registers their names and loads no weights."""

from merv.backbones.video import dinov2, hiera, languagebind, siglip, tiny, vivit
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig

__all__ = [
    "FeatureGrid",
    "VideoBackbone",
    "VideoBackboneConfig",
    "dinov2",
    "hiera",
    "languagebind",
    "siglip",
    "tiny",
    "vivit",
]
