"""CLIP weights on this disk: by open_clip's name of a training, a repository in the hub's cache, a folder, or a file.

Folders of transformers, such as the openai/clip-vit-base-patch32 that VaseVQA-3D keeps beside its scripts, are read
too: their tensors get open_clip's names.  Nothing is fetched, and nothing is unpickled.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.backbones.hub import find_cached, one_line
from merv.backbones.weights import read_tensors
from merv.errors import ConfigError

FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin")
"""Names a file of weights may have, the wanted ones first."""
NO_TENSORS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Sizes some files keep among their tensors."""
MOST_SHOWN = 12
"""Names listed in an error line."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ClipWeights:
    """A file of weights, and what has to be known to use it."""

    file: Path
    """The file."""
    quick_gelu: bool | None = None
    """Whether they were trained with the quick approximation of GELU; None where nothing says so."""
    view: Mapping[str, Any] = field(default_factory=dict)
    """How pictures were prepared for them, in open_clip's words, where that is told."""

    def tensors(self) -> dict[str, Tensor]:
        """Under the names of open_clip.

        Raises:
            CheckpointError: the file is damaged, or holds more than tensors.
        """
        found = read_tensors(self.file, lambda key: key not in NO_TENSORS)
        if any(key.startswith("vision_model.") for key in found):
            return of_transformers(found)
        return {key.removeprefix("module."): tensor for key, tensor in found.items()}


def find_weights(model: str, pretrained: str) -> ClipWeights:
    """What `pretrained` names, on this disk.

    Args:
        model: open_clip's name of the architecture.
        pretrained: open_clip's name of a training, a repository, a folder or a file.

    Raises:
        ConfigError: there is nothing of that name, or it is not on this disk.
    """
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    known = get_pretrained_cfg(model, pretrained) if pretrained else {}
    path = Path(pretrained)
    if pretrained and path.exists() and not known:  # a folder `openai` beside the images is not what `openai` means
        return _told_beside(_file_at(path))
    repository = known.get("hf_hub", "").rstrip("/")
    if not known and REPOSITORY.fullmatch(pretrained):
        repository = pretrained
    if not known and not repository:
        tags = sorted(list_pretrained_tags_by_model(model))
        what = f"no file, no folder and no training of {model}"
        raise ConfigError(f"pretrained `{pretrained}` is {what}; {nearest(pretrained, tags)}")
    file = next((found for name in FILES if (found := find_cached(repository, name))), None) if repository else None
    if file is None:
        raise ConfigError(_missing(model, pretrained, repository))
    if not known:
        return _told_beside(file)
    view = {name: known[name] for name in ("mean", "std", "interpolation", "resize_mode") if name in known}
    return ClipWeights(file, bool(known.get("quick_gelu")), view)


def nearest(name: str, known: Sequence[str]) -> str:
    """The names that are meant, perhaps, or the first few there are."""
    near = [one for one in known if one.casefold() == name.casefold()]
    near = near or difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(f'`{one}`' for one in near)}?"
    shown = ", ".join(known[:MOST_SHOWN]) or "none"
    return f"there is: {shown}{', ...' if len(known) > MOST_SHOWN else ''}"


def of_transformers(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of transformers' CLIPModel under the names of open_clip."""
    parts: dict[str, Tensor] = {}
    for key, tensor in found.items():
        if key.endswith("position_ids"):
            continue
        name = key
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        parts[name] = tensor.T.contiguous() if key.endswith("_projection.weight") else tensor
    for name in [name for name in parts if ".q_proj." in name]:
        three = [parts.pop(name.replace(".q_proj.", f".{letter}_proj.")) for letter in "qkv"]
        parts[name.replace(".q_proj.", ".in_proj_")] = torch.cat(three)
    return parts


_RENAMED = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^visual_projection\.weight$", "visual.proj"),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_projection\.weight$", "text_projection"),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm(\d)\.", r".ln_\1."),
    (r"\.self_attn\.", ".attn."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)


def _file_at(path: Path) -> Path:
    if path.is_file():
        return path
    file = next((path / name for name in FILES if (path / name).is_file()), None)
    if file is None:
        raise ConfigError(f"pretrained {path} holds none of {', '.join(FILES)}; name a folder with weights of CLIP")
    return file


def _told_beside(file: Path) -> ClipWeights:
    """With what a config of open_clip's or transformers' beside the file says."""
    own, other = _read(file.with_name("open_clip_config.json")), _read(file.with_name("config.json"))
    if "model_cfg" in own:
        return ClipWeights(file, bool(own["model_cfg"].get("quick_gelu")), own.get("preprocess_cfg", {}))
    activation = (other.get("vision_config") or {}).get("hidden_act", "quick_gelu")  # transformers' default
    return ClipWeights(file, activation == "quick_gelu" if other.get("model_type") == "clip" else None)


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is no JSON: {one_line(error)}; download it again") from error
    return found if isinstance(found, dict) else {}


def _missing(model: str, pretrained: str, repository: str) -> str:
    how = f"run `hf download {repository}` where there is a network, or " if repository else ""
    return (
        f"the weights `{pretrained}` of {model} are not on this disk; {how}name a file or folder of them with "
        "--pretrained; --init random goes without, and its scores mean nothing"
    )
