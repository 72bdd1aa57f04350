"""LanguageBind's video encoder, MERV's language-aligned one, with the token variants of the original.

Follows https://github.com/princetonvisualai/merv (MIT): the features are those of the tower's second to last layer.
"""

import logging
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from merv.backbones.hub import HubSource
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.backbones.video.languagebind_tower import Tower, TowerConfig
from merv.backbones.weights import PublishedWeights
from merv.errors import CheckpointError, ConfigError
from merv.video.transforms import ClipTransform, Resize, View

logger = logging.getLogger(__name__)

Tokens = Literal["all", "patches", "cls", "average", "cls-first"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
LEFT_OUT: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 32,
    "num_frames": 1,
    "hidden_act": "quick_gelu",
}
"""What the original takes for a number its config.json leaves out, where that is not `TowerConfig`'s default."""


@VideoBackboneConfig.register_subclass("languagebind-video")
@dataclass
class LanguageBindConfig(PublishedWeights, VideoBackboneConfig):
    """A tower that attends over time within groups of its own number of frames, 8 in the published weights."""

    source: ClassVar[HubSource] = HubSource("LanguageBind/LanguageBind_Video_merge")
    part_name: ClassVar[str] = "video backbone"

    resize: Resize = "crop"
    """Frames become square as LanguageBind's own processor makes them, whatever this says: the short side is scaled,
    the centre kept."""
    tokens: Tokens = "all"
    """Tokens of a frame: all (class token, then patches) | patches | cls | average (mean of all) | cls-first (one
    class token, the mean over frames, then the patches of all frames)."""
    tower: TowerConfig = field(default_factory=TowerConfig)
    """Size of the tower; a config.json beside the weights has precedence."""

    def fetch(self) -> None:
        """Bring the weights to this disk, and see whether the tower takes as many frames.

        Raises:
            ConfigError: weights are missing, or the frames are no whole groups.
        """
        super().fetch()
        self.architecture()

    def build(self) -> "LanguageBindBackbone":
        """Make the encoder.

        Raises:
            ConfigError: weights are missing, or the frames are no whole groups.
            CheckpointError: the weights are of another architecture.
        """
        if self.resize == "letterbox":
            logger.warning("%s ignores resize `letterbox`: it sees the centre of each frame", self.what)
        architecture = self.architecture()
        with self.parameters_of_build():
            encoder = LanguageBindBackbone(self, architecture)
        self.load_published(encoder.tower, lambda key: self._key_of_tower(key, architecture.num_hidden_layers - 1))
        return encoder

    def architecture(self) -> TowerConfig:
        """Size of the tower: as config.json beside the weights says, or else as `tower` does.

        Raises:
            ConfigError: config.json describes another kind of tower, or `num_frames` is no multiple of its frames.
        """
        found = self.read_json("config.json")
        tower = self._read_architecture(found) if found else self.tower
        if self.num_frames % tower.num_frames:
            raise ConfigError(
                f"{self.what}: num_frames is {self.num_frames}, and its frames attend in groups of "
                f"{tower.num_frames}; give a multiple of {tower.num_frames}"
            )
        return tower

    def _read_architecture(self, found: dict[str, Any]) -> TowerConfig:
        """From config.json of the whole model, or of the tower alone."""
        vision = found.get("vision_config", found)
        if not isinstance(vision, dict):
            raise ConfigError(f"{self.what}: vision_config in config.json is no object; download it again")
        if vision.get("clip_type", "vl") != "vl":  # its patches span frames, its class token differs by frame
            raise ConfigError(
                f"{self.what}: config.json says clip_type `{vision['clip_type']}`, a tower merv does not have; "
                f"get {self.source.repo}"
            )
        known = {option.name for option in fields(TowerConfig)}
        try:
            return TowerConfig(**LEFT_OUT | {key: value for key, value in vision.items() if key in known})
        except ConfigError as error:
            raise ConfigError(f"{self.what}: config.json beside the weights: {error}") from error

    def _key_of_tower(self, key: str, unused_layer: int) -> str | None:
        """The tower's key of a published one; None for text, projections, and what comes after the features."""
        inner = key.rpartition("vision_model.")[2]
        if not inner.startswith(("embeddings.", "pre_layrnorm.", "encoder.")):
            return None
        if ".base_model." in inner or ".lora_" in inner:
            raise CheckpointError(
                f"{self.what}: {self.weight_file()} holds low-rank updates beside its weights (`{key}`); "
                f"get {self.source.repo}, where they are merged"
            )
        if inner.startswith(("embeddings.position_ids", f"encoder.layers.{unused_layer}.")):
            return None
        return inner


LanguageBindConfig.preset("languagebind-video-noclass", tokens="patches")
LanguageBindConfig.preset("languagebind-video-averagetoken", tokens="average")
LanguageBindConfig.preset("languagebind-video-classemb", tokens="cls")
LanguageBindConfig.preset("languagebind-video-classemb-at-first", tokens="cls-first")


class LanguageBindBackbone(VideoBackbone):
    """The tower, and which of its tokens are given on."""

    def __init__(self, config: LanguageBindConfig, architecture: TowerConfig) -> None:
        """Build from `config` with random weights."""
        super().__init__()
        self.num_frames = config.num_frames
        self.tokens = config.tokens
        self.grid = _grid(config.tokens, config.num_frames, architecture)
        view = View(architecture.image_size, "crop", "bilinear", antialias=False)
        self.transform = ClipTransform(view, CLIP_MEAN, CLIP_STD)
        self.tower = Tower(architecture)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) float -> (B, grid.frames, grid.height * grid.width, D)."""
        return select_tokens(self.tower(pixels), self.tokens)

    def blocks(self) -> list[nn.Module]:
        """The transformer layers."""
        return list(self.tower.encoder.layers)


def _grid(tokens: Tokens, frames: int, tower: TowerConfig) -> FeatureGrid:
    side, dim = tower.patches_per_side, tower.hidden_size
    return {
        "all": FeatureGrid(frames, 1, 1 + side**2, dim),
        "patches": FeatureGrid(frames, side, side, dim),
        "cls": FeatureGrid(frames, 1, 1, dim),
        "average": FeatureGrid(frames, 1, 1, dim),
        "cls-first": FeatureGrid(1, 1, 1 + frames * side**2, dim),
    }[tokens]


def select_tokens(x: Tensor, tokens: Tokens) -> Tensor:
    """What `tokens` names of a clip's features, class tokens first.  (B, T, 1 + N, D) -> (B, T or 1, V, D)."""
    if tokens == "patches":
        return x[:, :, 1:]
    if tokens == "cls":
        return x[:, :, :1]
    if tokens == "average":
        return x.mean(2, keepdim=True)
    if tokens == "cls-first":
        first = x[:, :, 0].mean(1, keepdim=True)
        return torch.cat([first, x[:, :, 1:].flatten(1, 2)], dim=1)[:, None]
    return x
