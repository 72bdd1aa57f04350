"""DINOv2 with registers, the encoder of space in MERV: https://arxiv.org/abs/2304.07193, https://arxiv.org/abs/2309.16588.

Ids and their tokens are those of https://github.com/princetonvisualai/merv.
"""

from dataclasses import dataclass
from typing import ClassVar

from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.video.timm_vit import TimmVideoConfig, Tokens


@VideoBackboneConfig.register_subclass("dinov2-video")
@dataclass
class DinoV2Config(TimmVideoConfig):
    """DINOv2 ViT-L/14 with 4 registers, frame by frame; registers are never given out.

    The path may also be the .pth that the authors publish: https://github.com/facebookresearch/dinov2.
    """

    files: ClassVar[tuple[str, ...]] = (*TimmVideoConfig.files, "dinov2_vitl14_reg4_pretrain.pth")
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    timm_name: str = "vit_large_patch14_reg4_dinov2.lvd142m"
    """Architecture and tag of the weights as timm writes them; the weights are the hub's timm/<timm_name>."""
    tokens: Tokens = "cls"
    """What it gives of a clip:
    cls (the class token of each frame, after all blocks and the norm) | patches (of each frame) | all (the class
    tokens of all frames, then all patches) | cls-first (the class tokens averaged over frames, then all patches)."""


DinoV2Config.preset("dinov2-video-all-tokens", tokens="patches")
DinoV2Config.preset("dinov2-video-all-token-with-cls", tokens="all")
DinoV2Config.preset("dinov2-video-classemb-at-first", tokens="cls-first")
