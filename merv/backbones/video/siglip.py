"""SigLIP, the encoder of images with language in MERV: https://arxiv.org/abs/2303.15343.

Ids are those of https://github.com/princetonvisualai/merv, which shows 224 pixels to every one of them.
"""

from dataclasses import dataclass
from typing import ClassVar

from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.video.timm_vit import TimmVideoConfig, Tokens


@VideoBackboneConfig.register_subclass("siglip-vit-b16-224px")
@dataclass
class SiglipConfig(TimmVideoConfig):
    """A SigLIP vision tower, frame by frame.

    It has no class token, so -all-tokens and -all-no-cls are the same patches (the original refuses -all-tokens), and
    -classemb-at-first puts the pooled vector there, averaged over frames (the original fails for want of the token).
    The path may also be a whole model of open_clip, in whose layout these weights came out first.
    """

    files: ClassVar[tuple[str, ...]] = (
        *TimmVideoConfig.files,
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.bin",
    )
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)

    # Without its tag the name means SigLIP 2 in timm 1.x; MERV was trained with timm 0.9.10, on the first SigLIP.
    timm_name: str = "vit_base_patch16_siglip_224.webli"
    """Architecture and tag of the weights as timm writes them; the weights are the hub's timm/<timm_name>."""
    tokens: Tokens = "cls"
    """What it gives of a clip:
    cls (the pooled vector of each frame) | patches (of each frame) | all (the pooled vectors of all frames, then all
    patches) | cls-first (the pooled vectors averaged over frames, then all patches)."""


SIGLIP_TOWERS = {
    "siglip-vit-b16-224px": "vit_base_patch16_siglip_224.webli",
    "siglip-vit-b16-256px": "vit_base_patch16_siglip_256.webli",
    "siglip-vit-b16-384px": "vit_base_patch16_siglip_384.webli",
    "siglip-vit-so400m": "vit_so400m_patch14_siglip_224.webli",
    "siglip-vit-so400m-384px": "vit_so400m_patch14_siglip_384.webli",
}
"""Id -> timm's name; the sizes in them are those the weights were trained at."""

for tower, timm_name in SIGLIP_TOWERS.items():
    if tower not in SiglipConfig.available():
        SiglipConfig.preset(tower, timm_name=timm_name)
    SiglipConfig.preset(f"{tower}-all-tokens", timm_name=timm_name, tokens="patches")
    SiglipConfig.preset(f"{tower}-all-no-cls", timm_name=timm_name, tokens="patches")
    SiglipConfig.preset(f"{tower}-classemb-at-first", timm_name=timm_name, tokens="cls-first")
