"""Config of the multi-encoder family.  Published sizes are presets of it, in merv/conf/models.py."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from merv.backbones.llm.base import LLMConfig
from merv.backbones.video.base import VideoBackboneConfig
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.models.projectors import ProjectorConfig

ResizeStrategy = Literal["resize-naive", "resize-crop", "letterbox"]


@ModelConfig.register_subclass("multi-encoder")
@dataclass
class MultiEncoderConfig(ModelConfig):
    """Several frozen video encoders, projectors, a fusion and an LLM (MERV, https://arxiv.org/abs/2501.01426)."""

    video_backbone_ids: list[str] = field(default_factory=lambda: ["tiny-frames"])
    """Registered names of the video encoders, such as ['tiny-frames','tiny-motion']; `merv list video-backbones`."""
    num_frames: list[int] = field(default_factory=lambda: [8])
    """Frames each encoder sees, in the encoders' order; all are taken from one decode of the largest number."""
    llm_backbone_id: str = "tiny-llama"
    """Registered name of the language model; `merv list llm-backbones`."""
    projector: ProjectorConfig = field(default_factory=lambda: ProjectorConfig.new("avg3d"))
    """What brings each encoder's features to tokens as wide as the LLM's."""
    fusion: FusionConfig = field(default_factory=lambda: FusionConfig.new("cross_attention"))
    """How the encoders' tokens become one sequence."""
    projector_token_length: int = 64
    """Visual tokens of one time step after the projector; a square number for pooling projectors."""
    visual_feature_length: int = 1024
    """Visual tokens of one clip: projector_token_length x time steps after the encoders."""
    image_resize_strategy: ResizeStrategy = "resize-naive"
    """How frames become square: aspect ignored, centre crop, or padded."""
    llm_max_length: int = 2048
    """Longest row in tokens, visual tokens included; longer texts are cut at the end."""
    backbone_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of single encoders by name, such as --model.backbone_options.tiny-frames.depth 2."""
    llm_options: dict[str, Any] = field(default_factory=dict)
    """Options of the LLM, such as --model.llm_options.num_layers 4."""

    def __post_init__(self) -> None:
        """Check what the lists and sizes say about one another."""
        if not self.video_backbone_ids:
            raise ConfigError("video_backbone_ids is empty; name at least one encoder")
        if len(self.video_backbone_ids) != len(self.num_frames):
            raise ConfigError(
                f"video_backbone_ids names {len(self.video_backbone_ids)} encoders, num_frames has "
                f"{len(self.num_frames)} numbers; give each encoder its number of frames"
            )
        if self.projector_token_length < 1 or self.visual_feature_length % self.projector_token_length:
            raise ConfigError(
                f"visual_feature_length {self.visual_feature_length} is not a multiple of projector_token_length "
                f"{self.projector_token_length}; it is projector_token_length x time steps after the encoders"
            )
        strange = sorted(set(self.backbone_options) - set(self.video_backbone_ids))
        if strange:
            raise ConfigError(
                f"backbone_options names {', '.join(strange)}, which video_backbone_ids does not; "
                f"it has {', '.join(self.video_backbone_ids)}"
            )

    @property
    def output_frames(self) -> int:
        """Time steps of the visual tokens."""
        return self.visual_feature_length // self.projector_token_length

    def backbone_configs(self) -> list[VideoBackboneConfig]:
        """The encoders' own configs.

        Raises:
            ConfigError: an unknown encoder or option.
        """
        resize = {"resize-naive": "naive", "resize-crop": "crop", "letterbox": "letterbox"}[self.image_resize_strategy]
        return [
            VideoBackboneConfig.new(
                name, **{"num_frames": frames, "resize": resize, **self.backbone_options.get(name, {})}
            )
            for name, frames in zip(self.video_backbone_ids, self.num_frames, strict=True)
        ]

    def llm_config(self) -> LLMConfig:
        """The LLM's own config.

        Raises:
            ConfigError: an unknown LLM or option.
        """
        options = {"max_length": self.llm_max_length, **self.llm_options}
        return LLMConfig.new(self.llm_backbone_id, **options)

    def build(self, *, seed: int = 0) -> MultiEncoderLM:
        """Make the model; everything without pretrained weights is drawn from `seed`."""
        backbones, llm = self.backbone_configs(), self.llm_config()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return MultiEncoderLM(self, [config.build() for config in backbones], llm.build())
