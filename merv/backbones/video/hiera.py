"""Hiera, a hierarchical video transformer that sees clips of 16 frames; longer ones are cut into groups of 16.

Paper: https://arxiv.org/abs/2306.00989; modules: https://github.com/facebookresearch/hiera (Apache-2.0), published
weights CC-BY-NC 4.0.  Grouping and features follow https://github.com/princetonvisualai/merv (MIT).
"""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

from einops import rearrange
from torch import Tensor, nn

from merv.backbones.hub import HubSource
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.backbones.weights import PublishedWeights
from merv.errors import ConfigError
from merv.registry import did_you_mean
from merv.video.transforms import ClipTransform, View

PUBLISHED: dict[str, Any] = {
    "input_size": (16, 224, 224),
    "q_pool": 3,
    "q_stride": (1, 2, 2),
    "mask_unit_size": (1, 8, 8),
    "mask_unit_attn": (True, True, False, False),
    "patch_kernel": (3, 7, 7),
    "patch_stride": (2, 4, 4),
    "patch_padding": (1, 3, 3),
    "sep_pos_embed": True,
    "dim_mul": 2.0,
    "head_mul": 2.0,
    "mlp_ratio": 4.0,
}
"""Arguments of `hiera.Hiera` that all published video models share."""
PER_AXIS = ("input_size", "q_stride", "mask_unit_size", "patch_kernel", "patch_stride", "patch_padding")
UNUSED = ("norm.", "head.", "encoder_norm.", "decoder_", "mask_token", "multi_scale_fusion_heads.")
"""Published tensors behind the features: the classifier's, and the decoder's of masked pretraining."""
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
FILL = (114, 114, 114)


def _source(model: str, *, finetuned: bool) -> HubSource:
    """Where one model is: fine-tuned on Kinetics-400, or pretrained there as a masked autoencoder only."""
    checkpoint, file = ("mae_k400_ft_k400", model) if finetuned else ("mae_k400", f"mae_{model}")
    return HubSource(f"facebook/{model}.{checkpoint}", url=f"https://dl.fbaipublicfiles.com/hiera/{file}.pth")


@VideoBackboneConfig.register_subclass("hiera-base-video")
@dataclass
class HieraConfig(PublishedWeights, VideoBackboneConfig):
    """A Hiera video model; a config.json beside the weights, as the hub has it, overrides the sizes here."""

    part_name: ClassVar[str] = "video backbone"
    source: ClassVar[HubSource] = _source("hiera_base_16x224", finetuned=True)

    num_frames: int = 16
    """Frames the encoder sees of a clip: a multiple of the group, which is 16 in published models."""
    embed_dim: int = 96
    """Width of the first stage; every stage after it is twice as wide as the one before."""
    num_heads: int = 1
    """Attention heads of the first stage; they double with the width."""
    stages: tuple[int, ...] = (2, 3, 16, 3)
    """Blocks of each stage."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `hiera.Hiera` that differ from the published models, such as input_size: [16, 64, 64]."""

    def __post_init__(self) -> None:
        """Refuse arguments Hiera does not have."""
        super().__post_init__()
        for name in self.model_args:
            if name not in PUBLISHED:
                raise ConfigError(f"model_args has no `{name}`; {did_you_mean(name, PUBLISHED)}")

    def arguments(self) -> dict[str, Any]:
        """What `hiera.Hiera` is built with.

        Raises:
            ConfigError: it would be no video model, or one whose groups do not fill `num_frames`.
        """
        own = {"embed_dim": self.embed_dim, "num_heads": self.num_heads, "stages": self.stages}
        found = {**PUBLISHED, **own, **self.model_args}
        found |= {key: value for key, value in self.read_json("config.json").items() if key in found}
        found = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
        for key in PER_AXIS:
            if not isinstance(found[key], tuple) or len(found[key]) != 3:
                raise ConfigError(
                    f"{self.what}: {key} is {found[key]}; a video model has it for time, height and width"
                )
        group, height, width = found["input_size"]
        if height != width:
            raise ConfigError(f"{self.what}: input_size is {found['input_size']}; frames have to be square")
        if self.num_frames % group:
            raise ConfigError(
                f"{self.what}: num_frames is {self.num_frames}; it encodes groups of {group} frames, so give a "
                f"multiple of {group}"
            )
        return found

    def build(self) -> "HieraBackbone":
        """Make the encoder.

        Raises:
            ConfigError: num_frames is no multiple of the group, or the weights are not to be had.
            CheckpointError: the weights are of another model.
        """
        arguments = self.arguments()
        with self.parameters_of_build():
            encoder = HieraBackbone(self, arguments)
        self.load_published(encoder.model, lambda key: None if key.startswith(UNUSED) else key)
        return encoder


def _register_presets() -> None:
    """Every size, fine-tuned and not; https://github.com/facebookresearch/hiera#model-zoo has the table."""
    sizes: dict[str, dict[str, Any]] = {
        "base": {},
        "base-plus": {"embed_dim": 112, "num_heads": 2},
        "large": {"embed_dim": 144, "num_heads": 2, "stages": (2, 6, 36, 4)},
    }
    for size, options in sizes.items():
        model = f"hiera_{size.replace('-', '_')}_16x224"
        if size != "base":
            HieraConfig.preset(f"hiera-{size}-video", **options).source = _source(model, finetuned=True)
        HieraConfig.preset(f"hiera-{size}-video-noft", **options).source = _source(model, finetuned=False)


_register_presets()


class HieraBackbone(VideoBackbone):
    """Features of the last stage, before the classifier's norm; that norm and the classifier are cut off."""

    def __init__(self, config: HieraConfig, arguments: dict[str, Any]) -> None:
        """Build `hiera.Hiera` with `arguments` and random weights."""
        super().__init__()
        with warnings.catch_warnings():
            # The last release of the package, 0.1.4, imports timm's layers by their former name.
            warnings.filterwarnings("ignore", message="Importing from timm.models.layers", category=FutureWarning)
            from hiera import Hiera
        self.model: Any = Hiera(**arguments, num_classes=1)
        del self.model.norm, self.model.head
        for block in self.model.blocks:
            if not block.attn.use_mask_unit_attn:
                block.attn = GlobalAttention(block.attn)
        self.num_frames = config.num_frames
        self.group, size, _ = arguments["input_size"]
        pooled = [step ** arguments["q_pool"] for step in arguments["q_stride"]]
        duration, height, width = (p * q for p, q in zip(arguments["patch_stride"], pooled, strict=True))
        dim = self.model.blocks[-1].dim_out
        self.grid = FeatureGrid(config.num_frames // duration, size // height, size // width, dim)
        short_side = size * 8 // 7 if config.resize == "crop" else None  # 224 of 256, as the reference crops
        self.transform = ClipTransform(View(size, config.resize, "bilinear", FILL, short_side), MEAN, STD)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode groups of 16 frames apart.  (B, G * 16, 3, S, S) -> (B, G * 8, S / 32 * S / 32, D)."""
        x = self.model.patch_embed(rearrange(pixels, "b (g t) c h w -> (b g) c t h w", t=self.group))
        x = self.model.unroll(x + self.model.get_pos_embed())
        for block in self.model.blocks:
            x = block(x)
        x = self.model.reroll(x, len(self.model.blocks) - 1)  # from the order of its attention windows to t, h, w
        return rearrange(x, "(b g) t h w d -> b (g t) (h w) d", b=len(pixels))

    def blocks(self) -> list[nn.Module]:
        """The transformer blocks of all stages."""
        return list(self.model.blocks)


class GlobalAttention(nn.Module):
    """`hiera.MaskUnitAttention` over a whole group, with its parameters, in a shape that fused kernels take.

    The package gives windows a dimension of their own, even where there is one window only, and torch's scaled dot
    products of five dimensions write out the matrix of tokens times tokens: 1568 squared in the third stage.
    """

    def __init__(self, original: Any) -> None:
        """Take over the projections of `original`."""
        super().__init__()
        self.heads, self.q_stride = original.heads, original.q_stride
        self.qkv, self.proj = original.qkv, original.proj

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N / q_stride, D): queries are the maximum of the tokens that are pooled into one."""
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        if self.q_stride > 1:
            q = q.unflatten(2, (self.q_stride, -1)).max(dim=2).values
        return self.proj(rearrange(nn.functional.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))
