"""Image transformers of timm as frame-wise video encoders: what DINOv2 and SigLIP share.

Patches are taken off the second to last block, before any norm, as MERV does (https://github.com/princetonvisualai/merv);
timm is at https://github.com/huggingface/pytorch-image-models.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

from merv.backbones.hub import HubSource
from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.backbones.weights import PublishedWeights, lay_onto, read_tensors
from merv.errors import CheckpointError, ConfigError
from merv.video.transforms import ClipTransform, View

Tokens = Literal["cls", "patches", "all", "cls-first"]

IMAGE_SIZE = 224


@dataclass
class TimmVideoConfig(PublishedWeights, VideoBackboneConfig):
    """Options of a timm transformer; a folder's config.json in timm's layout rules its architecture."""

    part_name: ClassVar[str] = "video backbone"
    files: ClassVar[tuple[str, ...]] = ("model.safetensors", "pytorch_model.bin")
    """Names the weight file may have."""
    mean: ClassVar[tuple[float, float, float]]
    """Mean of the pixels it was trained on, unless config.json has another."""
    std: ClassVar[tuple[float, float, float]]
    """Their deviation."""

    timm_name: str = ""
    """Architecture and tag of the weights as timm writes them; the weights are the hub's timm/<timm_name>."""
    tokens: Tokens = "patches"
    """What it gives of a clip:
    cls (the vector timm pools of each frame) | patches (of each frame) | all (one vector of each frame, then all
    patches) | cls-first (those vectors averaged over frames, then all patches)."""
    image_size: int | None = None
    """Side of the square frame, pixels, a multiple of the patch; other position embeddings are resampled to it.
    None means img_size of config.json's model_args, else 224: MERV shows 224 pixels to every one of these models."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Arguments of timm's VisionTransformer, such as depth, in place of the architecture's and the folder's own."""

    def __post_init__(self) -> None:
        """Refuse tokens there are none of."""
        super().__post_init__()
        if self.tokens not in get_args(Tokens):
            raise ConfigError(f"{self.what}: tokens is `{self.tokens}`; choose {' | '.join(get_args(Tokens))}")

    @property
    def source(self) -> HubSource:  # type: ignore[override]
        """The repository timm keeps these weights in."""
        return HubSource(f"timm/{self.timm_name}", self.files)

    def build(self) -> "TimmVideoBackbone":
        """Make the encoder, weights included, and drop the parts its tokens do not pass through.

        Raises:
            ConfigError: no such architecture or argument, a size that patches do not tile, or no weights here.
            CheckpointError: the weights are damaged, or of another model.
        """
        published = self.read_json("config.json")
        with self.parameters_of_build():
            vit = self._make(published)
        if self.init == "pretrained":
            self._load(vit)
        _drop_unused(vit, self.tokens)
        stated = published.get("pretrained_cfg") or {}
        mean, std = tuple(stated.get("mean", self.mean)), tuple(stated.get("std", self.std))
        fill = tuple(int(255 * channel) for channel in mean)
        size = vit.patch_embed.img_size[0]
        view = View(size, self.resize, stated.get("interpolation", "bicubic"), fill)  # type: ignore[arg-type]
        return TimmVideoBackbone(vit, self.tokens, self.num_frames, ClipTransform(view, mean, std))

    def _make(self, published: dict[str, Any]) -> Any:
        """The whole transformer, with random weights or none, of the sizes in config.json."""
        import timm
        from timm.models.vision_transformer import VisionTransformer

        name = published.get("architecture", self.timm_name).partition(".")[0]
        args = {**(published.get("model_args") or {}), **self.model_args, "num_classes": 0}
        args["img_size"] = self._size(args)
        if not timm.is_model(name):
            raise ConfigError(
                f"{self.what}: timm {timm.__version__} has no architecture `{name}`; correct it in config.json or in "
                "timm_name, or install a timm that has it"
            )
        try:
            vit = timm.create_model(name, pretrained=False, **args)
        except (AssertionError, TypeError, ValueError) as error:
            cause = " ".join(str(error).split())
            raise ConfigError(
                f"{self.what}: timm cannot make {name} with {args}: {cause}; correct model_args"
            ) from error
        if type(vit) is not VisionTransformer:
            raise ConfigError(f"{self.what}: `{name}` is a {type(vit).__name__}; name a VisionTransformer of timm")
        self._check_sizes(vit, args["img_size"])
        return vit

    def _check_sizes(self, vit: Any, size: int) -> None:
        patch, depth = vit.patch_embed.patch_size[0], len(vit.blocks)
        if size % patch:
            near = max(1, round(size / patch)) * patch
            raise ConfigError(
                f"{self.what}: image_size is {size}, and its patches are {patch} pixels wide; give a multiple, such "
                f"as {near}"
            )
        if self.tokens != "cls" and depth < 2:
            raise ConfigError(
                f"{self.what}: depth is {depth}; patches come from the second to last block; give at least 2"
            )

    def _size(self, args: dict[str, Any]) -> int:
        """Side of the frame: the config's, else the folder's."""
        size = args.get("img_size", IMAGE_SIZE) if self.image_size is None else self.image_size
        side = size[0] if isinstance(size, list | tuple) and len(set(size)) == 1 else size
        if not isinstance(side, int) or side < 1:
            raise ConfigError(f"{self.what}: image_size is {size}; give the side of a square in pixels")
        return side

    def _load(self, vit: Any) -> None:
        """Lay the published weights onto the whole transformer, from timm's layout or one that timm converts."""
        from timm.models.vision_transformer import checkpoint_filter_fn

        file = self.weight_file()
        found = read_tensors(file, lambda key: not key.startswith(("head.", "text.")))
        # timm would resample the patches of another model as well; put back, they are refused with their shape.
        patches = {key: tensor for key, tensor in found.items() if key.endswith("patch_embed.proj.weight")}
        try:
            tensors = checkpoint_filter_fn(found, vit)
        except (KeyError, RuntimeError) as error:
            cause = " ".join(str(error).split())
            raise CheckpointError(
                f"{self.what}: {file} is of another model: timm cannot bring it to {vit.embed_dim} channels and "
                f"{vit.patch_embed.num_patches} patches ({cause}); name the weights of this architecture"
            ) from error
        if "patch_embed.proj.weight" in tensors:
            tensors["patch_embed.proj.weight"] = next(iter(patches.values()))
        lay_onto(vit, tensors, file, self.what)


def _drop_unused(vit: Any, tokens: Tokens) -> None:
    """Drop last block, norm and pooling where nothing passes through them, so that every parameter gets a gradient."""
    if tokens == "cls" or (tokens != "patches" and not vit.has_class_token):
        return
    vit.blocks = vit.blocks[:-1]
    vit.norm, vit.fc_norm, vit.attn_pool = nn.Identity(), nn.Identity(), None


class TimmVideoBackbone(VideoBackbone):
    """A timm transformer that sees every frame by itself."""

    def __init__(self, vit: Any, tokens: Tokens, num_frames: int, transform: ClipTransform) -> None:
        """Wrap `vit`, which holds just what `tokens` needs."""
        super().__init__()
        self.vit = vit
        self.tokens = tokens
        self.num_frames = num_frames
        self.transform = transform
        self.framewise = tokens in ("cls", "patches")  # type: ignore[misc]
        height, width = vit.patch_embed.grid_size
        patches = num_frames * height * width
        self.grid = {
            "cls": FeatureGrid(num_frames, 1, 1, vit.embed_dim),
            "patches": FeatureGrid(num_frames, height, width, vit.embed_dim),
            "all": FeatureGrid(1, 1, num_frames + patches, vit.embed_dim),
            "cls-first": FeatureGrid(1, 1, 1 + patches, vit.embed_dim),
        }[tokens]

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, S, S) float -> (B, T, N, D) of patches, (B, T, 1, D) of cls.

        In one row, as one time step: (B, 1, T + T * N, D) of all, (B, 1, 1 + T * N, D) of cls-first.
        """
        clips, frames = len(pixels), pixels.flatten(0, 1)
        if self.tokens == "cls":
            return rearrange(self.vit(frames), "(b t) d -> b t 1 d", b=clips)
        if self.tokens == "patches":
            patches = self.vit.forward_features(frames)[:, self.vit.num_prefix_tokens :]
            return rearrange(patches, "(b t) n d -> b t n d", b=clips)
        assert pixels.shape[1] == self.num_frames, f"{pixels.shape[1]} frames, tokens declared for {self.num_frames}"
        vectors, patches = self._vectors_and_patches(frames)
        vectors = rearrange(vectors, "(b t) d -> b t d", b=clips)
        if self.tokens == "cls-first":
            vectors = vectors.mean(1, keepdim=True)
        return torch.cat([vectors, rearrange(patches, "(b t) n d -> b (t n) d", b=clips)], 1)[:, None]

    def _vectors_and_patches(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """One vector of each frame, and its patches.  (F, 3, S, S) -> (F, D), (F, N, D).

        The class token of the same block; a model without one has its pooled output, of all blocks.
        """
        if self.vit.has_class_token:
            x = self.vit.forward_features(frames)
            return x[:, 0], x[:, self.vit.num_prefix_tokens :]
        before_last = [len(self.vit.blocks) - 2]
        x, (patches,) = self.vit.forward_intermediates(frames, indices=before_last, output_fmt="NLC")
        return self.vit.forward_head(x), patches

    def blocks(self) -> list[nn.Module]:
        """The transformer blocks that run."""
        return list(self.vit.blocks)
