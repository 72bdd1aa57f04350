"""ViViT-B/16x2: attention over all tubelets of 32 frames at once, and one class token; trained on Kinetics-400.

Paper: https://arxiv.org/abs/2103.15691; modules: transformers.  The token variants are those of
https://github.com/princetonvisualai/merv (MIT).
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from einops import rearrange
from torch import Tensor, nn

from merv.backbones.hub import HubSource
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.backbones.weights import PublishedWeights
from merv.errors import ConfigError
from merv.registry import did_you_mean
from merv.video.transforms import ClipTransform, View

PUBLISHED: dict[str, Any] = {
    "image_size": 224,
    "num_frames": 32,
    "tubelet_size": (2, 16, 16),
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu_fast",
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
}
"""Arguments of `transformers.VivitConfig` for google/vivit-b-16x2-kinetics400."""
RENAMED = {
    "encoder.layer.": "layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
"""Part of a published name -> what transformers calls it since version 5, to be replaced in this order."""


@VideoBackboneConfig.register_subclass("vivit-google-b-all-no-cls-16frames")
@dataclass
class VivitConfig(PublishedWeights, VideoBackboneConfig):
    """A ViViT; config.json and preprocessor_config.json beside the weights override what is said here."""

    part_name: ClassVar[str] = "video backbone"
    source: ClassVar[HubSource] = HubSource("google/vivit-b-16x2-kinetics400")
    beside: ClassVar[tuple[str, ...]] = ("config.json", "preprocessor_config.json")

    num_frames: int = 32
    """Frames the encoder sees of a clip: as many as its weights are made for."""
    tokens: Literal["patches", "all", "cls"] = "patches"
    """Tokens of a clip: patches (by time step) | all (one row, class token first) | cls (the class token alone)."""
    tubelet_step: int = 1
    """Time steps from one whose patches are kept to the next: 1 keeps all, 2 every other, beginning with the first."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Arguments of `transformers.VivitConfig` that differ from the published model, such as hidden_size: 24."""

    def __post_init__(self) -> None:
        """Refuse steps that choose nothing, and arguments ViViT does not have."""
        super().__post_init__()
        if self.tubelet_step < 1 or (self.tubelet_step > 1 and self.tokens != "patches"):
            raise ConfigError(
                f"tubelet_step is {self.tubelet_step} with tokens `{self.tokens}`; give 1, or more with patches"
            )
        for name in self.model_args:
            if name not in PUBLISHED:
                raise ConfigError(f"model_args has no `{name}`; {did_you_mean(name, PUBLISHED)}")

    def architecture(self) -> Any:
        """The model's own config, `transformers.VivitConfig`.

        Raises:
            ConfigError: its frames are not square, or it takes another number of them than `num_frames`.
        """
        import transformers

        found = {**PUBLISHED, **self.model_args}
        found |= {key: value for key, value in self.read_json("config.json").items() if key in PUBLISHED}
        if not isinstance(found["image_size"], int):
            raise ConfigError(
                f"{self.what}: image_size is {found['image_size']}; frames have to be square, give a number"
            )
        if found["num_frames"] != self.num_frames:
            raise ConfigError(
                f"{self.what}: num_frames is {self.num_frames}, its position embeddings are made for "
                f"{found['num_frames']}; set num_frames to {found['num_frames']}"
            )
        return transformers.VivitConfig(**{**found, "attn_implementation": "sdpa"})

    def build(self) -> "VivitBackbone":
        """Make the encoder.

        Raises:
            ConfigError: num_frames is not what the weights are made for, or they are not to be had.
            CheckpointError: the weights are of another model.
        """
        architecture = self.architecture()
        with self.parameters_of_build():
            encoder = VivitBackbone(self, architecture)
        self.load_published(encoder.model, rename)
        return encoder


VivitConfig.preset("vivit-google-b-all-no-cls", tubelet_step=2)
VivitConfig.preset("vivit-google-b-all-tokens", tokens="all")
VivitConfig.preset("vivit-google-b-classemb-at-first-16frames", tokens="all")
VivitConfig.preset("vivit-google-b-cls-token", tokens="cls")


def rename(key: str) -> str | None:
    """The model's key of a published one, which may be the model's already; None for a classifier's or pooler's."""
    key = key.removeprefix("vivit.")
    if key.startswith(("classifier.", "pooler.")):
        return None
    for published, new in RENAMED.items():
        key = key.replace(published, new)
    return key


class VivitBackbone(VideoBackbone):
    """The last hidden states, after the final norm."""

    def __init__(self, config: VivitConfig, architecture: Any) -> None:
        """Build the model with random weights; mean and deviation are those recorded beside the published ones."""
        from transformers import VivitModel

        super().__init__()
        self.model: Any = VivitModel(architecture, add_pooling_layer=False)
        self.num_frames = config.num_frames
        self.tokens = config.tokens
        self.step = config.tubelet_step
        self.grid = _grid(config, architecture)
        self.transform = _transform(config, architecture.image_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode clips.  (B, T, 3, S, S) -> (B, T / 2 / tubelet_step, N, D), or one row (B, 1, 1 + T / 2 * N, D)."""
        hidden = self.model(pixel_values=pixels).last_hidden_state
        if self.tokens == "patches":
            patches = rearrange(hidden[:, 1:], "b (t n) d -> b t n d", n=self.grid.tokens_per_frame)
            return patches[:, :: self.step]
        return hidden[:, None, :1] if self.tokens == "cls" else hidden[:, None]

    def blocks(self) -> list[nn.Module]:
        """The transformer layers."""
        return list(self.model.layers)


def _grid(config: VivitConfig, architecture: Any) -> FeatureGrid:
    duration, height, width = architecture.tubelet_size
    frames = config.num_frames // duration
    rows, columns = architecture.image_size // height, architecture.image_size // width
    if config.tokens == "patches":
        return FeatureGrid(math.ceil(frames / config.tubelet_step), rows, columns, architecture.hidden_size)
    num_tokens = 1 if config.tokens == "cls" else 1 + frames * rows * columns
    return FeatureGrid(1, 1, num_tokens, architecture.hidden_size)


def _transform(config: VivitConfig, size: int) -> ClipTransform:
    """With mean and deviation as recorded beside the weights; letterbox bars are of the mean colour."""
    recorded = config.read_json("preprocessor_config.json")
    mean, std = (tuple(recorded.get(key, (0.5, 0.5, 0.5))) for key in ("image_mean", "image_std"))
    fill: Any = tuple(int(255 * value) for value in mean)
    short_side = size * 8 // 7 if config.resize == "crop" else None  # 224 of 256, as the reference crops
    return ClipTransform(View(size, config.resize, "bilinear", fill, short_side), mean, std)
