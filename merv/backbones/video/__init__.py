"""Video encoders; importing registers their names and loads no weights."""

from merv.backbones.video import tiny
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig

__all__ = ["FeatureGrid", "VideoBackbone", "VideoBackboneConfig", "tiny"]
