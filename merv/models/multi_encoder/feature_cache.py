"""Features of frozen encoders on disk: from the second epoch on nothing is decoded or encoded.

One small file for each clip and encoder, in a folder named after everything the features depend on: the encoder's
weights, what it sees, how its projector reduces what it gives, and the type they were computed in.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from merv.backbones.video.base import VideoBackbone, VideoBackboneConfig
from merv.errors import ConfigError
from merv.runtime import share
from merv.video.media import MediaRef

logger = logging.getLogger(__name__)

FORMAT = 1
"""Part of every key: raise it when features of the same encoder would come out differently."""


@dataclass(frozen=True)
class FeatureCache:
    """Reads and writes reduced features.  Picklable: loader workers look clips up."""

    folder: Path
    encoders: tuple[str, ...]
    """Key of each encoder, in the model's order: the name of its folder."""

    def clip(self, ref: MediaRef) -> str:
        """Key of a clip: its file as it is now, or the content of its shard, and the stretch of it that is meant.

        Raises:
            OSError: there is no such file.
        """
        span = None if ref.span is None or ref.kind == "image" else (ref.span.start, ref.span.end)
        if ref.within is not None and ref.within.digest:
            return _digest([ref.within.digest, ref.within.stretches, ref.kind, span])
        stat = ref.path.stat()
        piece = [] if ref.within is None else [ref.within.stretches]
        return _digest([str(ref.path.resolve()), stat.st_size, stat.st_mtime_ns, ref.kind, span, *piece])

    def read(self, clip: str) -> dict[int, Tensor] | None:
        """Features of a clip by number of the encoder, each as it was written; None unless all are there."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        found: dict[int, Tensor] = {}
        for number, encoder in enumerate(self.encoders):
            path = self._path(encoder, clip)
            try:
                found[number] = load_file(path)["features"]
            except FileNotFoundError:
                return None
            except (OSError, SafetensorError, KeyError) as error:
                logger.warning("feature cache: %s is damaged (%s); the clip is encoded again", path, error)
                return None
        return found

    def write(self, number: int, clip: str, features: Tensor) -> None:
        """Keep what encoder `number` gave for a clip; by one rename, so that readers see all of it or nothing.

        Raises:
            ConfigError: the folder cannot be written to.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self._path(self.encoders[number], clip)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"features": features.detach().cpu().contiguous()}, partial)
            share(partial)
            os.replace(partial, path)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise ConfigError(f"feature_cache: {path} cannot be written: {error}; choose another folder") from error

    def _path(self, encoder: str, clip: str) -> Path:
        return self.folder / encoder / clip[:2] / f"{clip}.safetensors"


def encoder_key(
    backbone: VideoBackbone, config: VideoBackboneConfig, *, reduction: str, dtype: torch.dtype, decoded: int
) -> str:
    """Name of the folder for one encoder's features.

    Args:
        backbone: the encoder with its weights.
        config: what it was built from; where its weights came from does not count.
        reduction: how its projector reduces features, in a word.
        dtype: what it computes in.
        decoded: frames the model decodes of a clip, which the encoder's are chosen from.
    """
    transform = backbone.transform
    seen = [transform.view.name, transform.mean, transform.std, backbone.num_frames, decoded]
    options = {name: value for name, value in dataclasses.asdict(config).items() if name not in ("init", "path")}
    made = [type(backbone).__qualname__, options, vars(backbone.grid), weights_digest(backbone)]
    facts = [FORMAT, made, seen, reduction, str(dtype)]
    return f"{type(backbone).__name__.lower()}-{_digest(facts)[:24]}"


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers, names and types included."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()
