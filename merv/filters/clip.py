"""CLIP: pictures and sentences as vectors that can be compared, by open_clip (https://github.com/mlfoundations/open_clip).

open_clip comes with the extra `filters`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from merv import runtime
from merv.backbones.weights import Init, lay_onto
from merv.errors import ConfigError
from merv.filters.clip_weights import ClipWeights, find_weights, nearest
from merv.filters.images import ImageBatches, Unreadable, default_workers
from merv.filters.lineage import hash_of_file

TINY = "tiny"
"""A small architecture for tests and for trying commands out; nobody has trained it."""
TINY_SIZES: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"width": 32, "heads": 2, "layers": 1},
}
ROOM = 2
"""A JPEG may be decoded at a fraction of its size, as long as it stays so many times larger than the model's view."""
SEED = 7
"""Of random weights: every process draws the same."""


@dataclass(kw_only=True)
class ClipConfig:
    """Which CLIP, and how fast pictures reach it."""

    model: str = "ViT-B-32"
    """Architecture by open_clip's name; `tiny` is a small one without weights, for --init random."""
    pretrained: str = "openai"
    """Weights on this disk: a training by open_clip's name, such as openai or laion2b_s34b_b79k, a repository in the
    hub's cache, or a folder or file in the layout of open_clip or transformers."""
    init: Init = "pretrained"
    """pretrained loads the weights; random draws new ones, whose scores mean nothing."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type the model computes in; bfloat16 is about twice as fast where the processor has it, and moves scores
    by about a thousandth."""
    batch_size: int = 32
    """Images computed at a time."""
    num_workers: int | None = None
    """Threads that decode images; 0 decodes in turn, None takes one a core."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; it is a number of images, 1 or more")
        if self.num_workers is not None and self.num_workers < 0:
            raise ConfigError(f"num_workers is {self.num_workers}; it is a number of threads, 0 or more")

    def find_clip(self) -> ClipWeights | None:
        """The weights; None for random ones.  Cheap, so that mistakes are told before images are looked for.

        Raises:
            ConfigError: open_clip is not installed, or does not know the model, or the weights are not on this disk.
        """
        open_clip = _open_clip()
        known = [TINY, *open_clip.list_models()]
        if self.model not in known:
            raise ConfigError(f"open_clip has no model `{self.model}`; {nearest(self.model, known)}")
        return None if self.init == "random" else find_weights(self.model, self.pretrained)

    def build_clip(self, weights: ClipWeights | None, device: torch.device | None = None) -> "Clip":
        """The model with these weights, or random ones.

        Raises:
            CheckpointError: the file is damaged, or of another architecture.
        """
        network = _network(self.model, bool(weights and weights.quick_gelu))
        if weights is not None:
            lay_onto(network, weights.tensors(), weights.file, f"CLIP `{self.model}`")
        network = network.to(getattr(torch, self.dtype))
        said = {"name": self.model, "init": self.init, "dtype": self.dtype}
        if weights is not None:
            said |= {"pretrained": self.pretrained, "file": str(weights.file)}
        transform = _transform(network, {} if weights is None else weights.view)
        return Clip(network, _tokenizer(self.model), transform, said, self.batch_size, device)

    @property
    def threads(self) -> int:
        """That decode."""
        return default_workers() if self.num_workers is None else self.num_workers


class Clip:
    """Pictures and sentences as vectors of one space."""

    def __init__(
        self,
        network: Any,
        tokenizer: Callable[[list[str]], Tensor],
        transform: Callable[[Image.Image], Tensor],
        said: dict[str, Any],
        batch_size: int,
        device: torch.device | None = None,
    ) -> None:
        """Put the network on the device.

        Args:
            network: has `encode_image` and `encode_text`.
            tokenizer: sentences to ids.
            transform: a picture in RGB to what the network looks at, (3, H, W).
            said: what lineages and reports tell about the model.
            batch_size: rows of every pass through the network.
            device: None means this process's accelerator, or the CPU.
        """
        self.device = runtime.device() if device is None else device
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.dtype = next((tensor.dtype for tensor in self.network.parameters()), torch.float32)
        self.tokenizer = tokenizer
        self.transform = transform
        self.said = said
        self.batch_size = batch_size

    @property
    def view_size(self) -> int:
        """Pixels of the longer side of what the network looks at."""
        size = self.network.visual.image_size
        return int(max(size)) if isinstance(size, tuple | list) else int(size)

    def describe(self) -> dict[str, Any]:
        """What a lineage tells, the hash of the weights among it."""
        file = self.said.get("file")
        return {**self.said, "sha256": hash_of_file(Path(file))} if file else dict(self.said)

    @torch.inference_mode()
    def encode_images(self, images: Tensor) -> Tensor:
        """Vectors of length 1, on the CPU.  (B, 3, H, W) -> float32 (B, D)

        Fewer rows than a batch are filled up: kernels, and with them the last digits, depend on the number of rows,
        and an image's score shall not depend on which others came with it.
        """
        rows = len(images)
        if rows < self.batch_size:
            images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, self.batch_size - rows))
        found: Tensor = self.network.encode_image(images.to(self.device, self.dtype, non_blocking=True))
        return F.normalize(found[:rows].float(), dim=-1).cpu()

    @torch.inference_mode()
    def encode_texts(self, sentences: Sequence[str]) -> Tensor:
        """Vectors of the length the model gives them, on the CPU.  -> float32 (N, D)"""
        found: Tensor = self.network.encode_text(self.tokenizer(list(sentences)).to(self.device))
        return found.float().cpu()

    def direction(self, sentences: Sequence[str], *, normalize_first: bool = False) -> Tensor:
        """What the sentences have in common: their mean, of length 1.  -> (D,)

        Args:
            sentences: one or more.
            normalize_first: give each the same weight; otherwise those the model gives longer vectors count for more,
                as in VaseVQA-3D.
        """
        found = self.encode_texts(sentences)
        if normalize_first:
            found = F.normalize(found, dim=-1)
        return F.normalize(found.mean(dim=0), dim=-1)

    def look(self, paths: Sequence[Path], num_workers: int) -> list[Tensor | Unreadable]:
        """The vector of each image, float32 (D,), or why it has none; in the order of the paths."""
        results: list[Any] = [None] * len(paths)
        where = {path: place for place, path in enumerate(paths)}
        batches = ImageBatches(paths, self.transform, self.batch_size, num_workers, at_least=ROOM * self.view_size)
        for batch in batches:
            if batch.places:
                for place, row in zip(batch.places, self.encode_images(batch.tensors), strict=True):
                    results[place] = row.clone()  # alone, or it would travel with its whole batch
            for unreadable in batch.unreadable:
                results[where[unreadable.path]] = unreadable
        return results


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise ConfigError("CLIP needs open_clip, which is not installed: pip install 'merv[filters]'") from error
    return open_clip


def _network(model: str, quick_gelu: bool) -> Any:
    """The architecture with weights drawn from one seed."""
    open_clip = _open_clip()
    with torch.random.fork_rng(devices=[]), runtime.quiet("root"):  # open_clip speaks through the root logger
        torch.manual_seed(SEED)
        if model == TINY:
            return open_clip.CLIP(**TINY_SIZES, quick_gelu=quick_gelu)
        return open_clip.create_model(
            model, pretrained=None, load_weights=False, pretrained_text=False, force_quick_gelu=quick_gelu
        )


def _tokenizer(model: str) -> Callable[[list[str]], Tensor]:
    open_clip = _open_clip()
    if model == TINY:
        return open_clip.SimpleTokenizer()
    try:
        with runtime.quiet("root"):
            return open_clip.get_tokenizer(model)
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).debug("tokenizer of %s", model, exc_info=error)
        raise ConfigError(
            f"the tokenizer of {model} is not on this disk and could not be fetched; choose a --model that has the "
            "tokenizer open_clip brings along, such as ViT-B-32"
        ) from error


def _transform(network: Any, view: Any) -> Callable[[Image.Image], Tensor]:
    """What open_clip does to a picture before its network."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    own = getattr(network.visual, "preprocess_cfg", {})
    settings = merge_preprocess_dict({**PreprocessCfg().__dict__, **own}, dict(view))
    settings["size"] = network.visual.image_size
    return image_transform_v2(PreprocessCfg(**settings), is_train=False)
