"""Config of the multi-encoder family.  Published sizes are presets of it, in merv/conf/models.py."""

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch

from merv.backbones.llm.base import LLMConfig
from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.weights import PublishedWeights, empty_parameters
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.models.projectors import ProjectorConfig
from merv.registry import Registry

ResizeStrategy = Literal["resize-naive", "resize-crop", "letterbox"]


@ModelConfig.register_subclass("multi-encoder")
@dataclass
class MultiEncoderConfig(ModelConfig):
    """Several frozen video encoders, projectors, a fusion and an LLM (MERV, https://arxiv.org/abs/2501.01426)."""

    video_backbone_ids: list[str] = field(default_factory=lambda: ["tiny-frames"])
    """Registered names of the video encoders, such as ['tiny-frames','tiny-motion']; `merv list video-backbones`."""
    num_frames: list[int] = field(default_factory=lambda: [8])
    """Frames each encoder sees, in the encoders' order, or one number for all; taken from one decode of the most."""
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
    video_backbone_paths: dict[str, Path] = field(default_factory=dict)
    """Local folders with encoders' weights, by name or its beginning: --model.dinov2_path DIR is short for it."""
    llm_path: Path | None = None
    """Local folder with the LLM's weights and tokenizer; None means the hub and its cache."""
    protocol: Literal["merv", "reference"] = "merv"
    """merv: prompts as they should be; reference: exactly those the original trained its models with."""

    def __post_init__(self) -> None:
        """Check what the lists and sizes say about one another."""
        if not self.video_backbone_ids:
            raise ConfigError("video_backbone_ids is empty; name at least one encoder")
        if len(self.num_frames) == 1:
            self.num_frames = self.num_frames * len(self.video_backbone_ids)
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
        self._check_names("backbone_options", set(self.backbone_options) - set(self.video_backbone_ids))
        unused = {key for key in self.video_backbone_paths if not any(map(_means(key), self.video_backbone_ids))}
        self._check_names("video_backbone_paths", unused)

        twice = sorted(name for name, options in self.backbone_options.items() if "num_frames" in options)
        if twice:
            raise ConfigError(f"backbone_options.{twice[0]}.num_frames: set the encoder's number in num_frames")

    def _check_names(self, field_name: str, strange: set[str]) -> None:
        if strange:
            raise ConfigError(
                f"{field_name} names {', '.join(sorted(strange))}, which video_backbone_ids does not; "
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
        configs = []
        for name, frames in zip(self.video_backbone_ids, self.num_frames, strict=True):
            keys = sorted(filter(lambda key: _means(key)(name), self.video_backbone_paths), key=len, reverse=True)
            paths = [self.video_backbone_paths[key] for key in keys]  # the fullest name counts
            options = {"num_frames": frames, "resize": resize, **self._published(VideoBackboneConfig, name, paths)}
            configs.append(VideoBackboneConfig.new(name, **{**options, **self.backbone_options.get(name, {})}))
        return configs

    def llm_config(self) -> LLMConfig:
        """The LLM's own config.

        Raises:
            ConfigError: an unknown LLM or option.
        """
        paths = [] if self.llm_path is None else [self.llm_path]
        options = {"max_length": self.llm_max_length, **self._published(LLMConfig, self.llm_backbone_id, paths)}
        if self.protocol != "merv":
            if not _has_field(LLMConfig.get(self.llm_backbone_id), "protocol"):
                raise ConfigError(
                    f"protocol `{self.protocol}`: LLM backbone `{self.llm_backbone_id}` has prompts of its own"
                )
            options["protocol"] = self.protocol
        return LLMConfig.new(self.llm_backbone_id, **{**options, **self.llm_options})

    def _published(self, family: type[Registry], name: str, paths: list[Path]) -> dict[str, Any]:
        """Where a part's weights come from, as options of its config.

        Raises:
            ConfigError: a folder is named for a part that draws its weights.
        """
        if issubclass(family.get(name), PublishedWeights):
            return {"init": self.init, **({"path": str(paths[0])} if paths else {})}
        if paths:
            raise ConfigError(f"{family.kind} `{name}` draws its weights; it takes no folder, found {paths[0]}")
        return {}

    def fetch(self) -> None:
        """Bring the encoders' and the LLM's weights to this disk.

        Raises:
            ConfigError: they are not to be had; the message says how to get them.
        """
        for backbone in self.backbone_configs():
            backbone.fetch()
        self.llm_config().fetch()

    def missing_weights(self) -> list[str]:
        """A line for each encoder, and for the LLM, whose published weights are not on this disk."""
        configs: list[Any] = [*self.backbone_configs(), self.llm_config()]
        lines = [config.missing() for config in configs if isinstance(config, PublishedWeights)]
        return [line for line in lines if line is not None]

    def build(self, *, seed: int = 0, without: Collection[str] = ()) -> MultiEncoderLM:
        """Make the model; everything without pretrained weights is drawn from `seed`.

        Raises:
            ConfigError: an unknown part or option, or files of a part are not to be had.
            CheckpointError: published weights are of another model.
        """
        backbones, llm = self.backbone_configs(), self.llm_config()
        if "llm" in without and llm.is_published():
            llm.fetch_tokenizer()  # without it a stand-in would be made, as for random weights
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built = [_build(config, "video_backbones" in without) for config in backbones]
            language = _build(llm, "llm" in without)
            with empty_parameters() if {"projectors", "fusion"} <= set(without) else nullcontext():
                return MultiEncoderLM(self, built, language)


def _build(config: Any, empty: bool) -> Any:
    """An encoder or an LLM; `empty` lays it out without memory and without its published weights."""
    if not empty:
        return config.build()
    if isinstance(config, PublishedWeights):
        config = config.drawn()
    with empty_parameters():
        return config.build()


def _means(key: str) -> Callable[[str], bool]:
    """Whether a key names an encoder: by its whole name, or its beginning up to a hyphen."""
    return lambda name: name == key or name.startswith(f"{key}-")


def _has_field(config: type, name: str) -> bool:
    return any(known.name == name for known in fields(config))
