"""Runs of the original implementation (https://github.com/princetonvisualai/merv): read into our names, written back.

A run is a folder with `config.json` and `checkpoints/latest-checkpoint.pt`: a dict whose `model` holds the state dicts
of `projectors`, `llm_backbone` and `feature_fusion` (`projector` and `adapter` in older ones).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from merv.backbones.hub import HubSource, find_file, hub_is_reachable, one_line
from merv.backbones.weights import PublishedWeights, differences, empty_parameters, read_torch_file
from merv.errors import CheckpointError, ConfigError
from merv.models.base import VideoLM
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.registry import did_you_mean

REPO = "tyleryzhu/merv"
CONFIG, CHECKPOINT = Path("config.json"), Path("checkpoints/latest-checkpoint.pt")

MODELS = {
    "merv-frozen": "LanguageBind, DINOv2, ViViT and SigLIP with Llama-2-7B, one stage",
    "merv-full": "as merv-frozen, aligned first and then fine-tuned, with the LLM in both stages",
    "languagebind-single": "LanguageBind alone",
    "dinov2-single": "DINOv2 alone",
    "vivit-single": "ViViT alone",
    "siglip-single": "SigLIP alone",
}
"""Published models and what sets them apart."""

RESAMPLERS = {"avg": "avg2d", "attntv": "attentive", "conv": "conv2d", "3davg": "avg3d", "3dconv": "conv3d"}
TOKEN_PROJECTORS = {"linear": "linear", "gelu-mlp": "mlp", "fused-gelu-mlp": "fused-mlp"}
FUSIONS: dict[str, dict[str, Any]] = {
    "first": {"type": "first"},
    "concat": {"type": "concat"},
    "concat_channel": {"type": "concat_channel"},
    "concat_channel_ln": {"type": "concat_channel_ln"},
    "cross_attention_lq": {"type": "cross_attention", "average_tokens": False},
    "cross_attention_avg_lq": {"type": "cross_attention", "average_tokens": True},
    "scalar": {"type": "scalar"},
}
"""`feature_fusion` of a published config -> our fusion and its options."""

RENAMED_PARTS = {"projectors": "projectors", "llm_backbone": "llm", "feature_fusion": "fusion", "adapter": "fusion"}


@dataclass(frozen=True)
class PublishedRun:
    """The two files of a run."""

    config: Path
    checkpoint: Path


def is_published(folder: Path) -> bool:
    """Whether a folder is a run in the original's layout."""
    return (folder / CONFIG).is_file() and (folder / CHECKPOINT).is_file()


def find_run(name: str) -> PublishedRun:
    """The files of a published model, fetched into the hub's cache if they are not there.

    Raises:
        ConfigError: no such model, or the hub cannot be reached.
    """
    if name not in MODELS:
        raise ConfigError(
            f"there is no folder {name}, and no published model of that name; {did_you_mean(name, MODELS)}"
        )
    source, what = [HubSource(REPO, (f"{name}/{file}",)) for file in (CONFIG, CHECKPOINT)], f"model `{name}`"
    try:
        return PublishedRun(*(find_file(one, None, what=what, option="") for one in source))
    except ConfigError as error:
        because = one_line(error.__cause__ or error) if hub_is_reachable() else "the hub cannot be reached from here"
        raise ConfigError(
            f"{what} is not on this disk, and {because}; run `hf download {REPO} --include '{name}/*'` where there is "
            "a network, or name the folder it was copied to"
        ) from error


def model_options(path: Path) -> dict[str, Any]:
    """What a published config.json says of its model, in our names; for `merv.conf.files.from_mapping`.

    Raises:
        ConfigError: the file is no such config, or names something that has no counterpart.
    """
    try:
        said = json.loads(path.read_text())["model"]
        arch, fusion = said.pop("arch_specifier"), said.pop("feature_fusion")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is no config of a published run: {type(error).__name__} {error}") from error
    if fusion not in FUSIONS:
        raise ConfigError(f"{path}: feature_fusion is `{fusion}`; known: {', '.join(FUSIONS)}")
    known = {known.name for known in fields(MultiEncoderConfig)}
    said = {name: value for name, value in said.items() if name in known}  # the others are about its training
    if isinstance(said.get("num_frames"), int):
        said["num_frames"] = [said["num_frames"]]
    return {**said, "projector": projector_options(arch), "fusion": FUSIONS[fusion], "protocol": "reference"}


def projector_options(arch_specifier: str) -> dict[str, Any]:
    """The projector a published `arch_specifier` means, such as `no-align+3davg+linear`.

    Raises:
        ConfigError: it has no counterpart.
    """
    words = arch_specifier.split("+")
    layers = words[-1] if words[-1] in TOKEN_PROJECTORS else None
    if layers is None:
        raise ConfigError(f"arch_specifier `{arch_specifier}` ends in none of {', '.join(TOKEN_PROJECTORS)}")
    resampler = next((RESAMPLERS[word] for word in words if word in RESAMPLERS), None)
    if resampler is None:
        return {"type": TOKEN_PROJECTORS[layers]}
    return {"type": resampler, "mlp": layers}


def frame_factor(arch_specifier: str) -> int:
    """By how much the projector lowers the number of time steps: k of `frame<k>`, else 1."""
    found = re.search(r"frame(\d+)", arch_specifier)
    return int(found[1]) if found else 1


def load_checkpoint(model: VideoLM, path: Path) -> list[str]:
    """Give a model the weights of a published checkpoint, once and without a copy; gives the parts that got theirs.

    Raises:
        CheckpointError: the file is refused, or of another model.
    """
    return lay_states(model, read_states(path), path)


def lay_states(model: VideoLM, states: Mapping[str, dict[str, Tensor]], path: Path) -> list[str]:
    """Give a model the states of its parts, as `read_states` found them in `path`; gives the parts that got theirs.

    Raises:
        CheckpointError: they are of another model.
    """
    parts = model.parts()
    for name in ("projectors", "fusion"):  # they are nowhere else
        if name not in states and any(True for _ in parts[name].parameters()):
            raise CheckpointError(f"{path} is of another model: it holds no `{name}`, and this model's has weights")
    for name, state in states.items():
        _lay_part(parts[name], state, name, path)
    return list(states)


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """State dicts by our names of parts.

    Raises:
        CheckpointError: the file is refused, or no checkpoint of the original.
    """
    found = read_torch_file(path)
    parts = found.get("model") if isinstance(found, Mapping) else None
    if not isinstance(parts, Mapping) or not parts.keys() & {"projectors", "projector"}:
        raise CheckpointError(f"{path} is no checkpoint of a published run: it has no model.projectors")
    if not all(isinstance(parts[name], Mapping) for name in parts.keys() & {*RENAMED_PARTS, "projector"}):
        raise CheckpointError(f"{path} is no checkpoint of a published run: its parts are no tables of tensors")
    states = {RENAMED_PARTS[name]: dict(state) for name, state in parts.items() if name in RENAMED_PARTS and state}
    if "projector" in parts:  # of the time when there was one encoder
        states["projectors"] = {f"0.{key}": tensor for key, tensor in parts["projector"].items()}
    if "llm" in states:
        kept = {key: t for key, t in states["llm"].items() if not key.endswith("rotary_emb.inv_freq")}
        states["llm"] = {key.replace("llm.", "model.", 1): tensor for key, tensor in kept.items()}
    return states


def _lay_part(module: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    own = module.state_dict()
    if name != "fusion":  # its own hooks know older layouts of its weights
        for key, there, here in differences(own, state):
            raise CheckpointError(f"{path} is of another model: `{name}.{key}` is {there} there, {here} here")
    cast = {key: t.to(own[key].dtype) if key in own else t for key, t in state.items()}
    is_empty = any(tensor.is_meta for tensor in own.values())
    try:
        module.load_state_dict(cast, strict=True, assign=is_empty)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise CheckpointError(f"{path} is of another model: part `{name}`: {lines[0] if lines else error}") from error


def save_checkpoint(model: VideoLM, path: Path, *, step: int = 0) -> None:
    """Write a model's trained parts as the original would, for programs that read its checkpoints.

    Weights the original has but never trains (the value and output matrices of its fusion) are written as they came.
    """
    parts = model.parts()
    llm = {key.replace("model.", "llm.", 1): tensor for key, tensor in parts["llm"].state_dict().items()}
    states = {"projectors": parts["projectors"].state_dict(), "llm_backbone": llm}
    states["feature_fusion"] = parts["fusion"].state_dict()
    plain = {name: {key: t.detach().cpu() for key, t in state.items()} for name, state in states.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save({"model": plain, "step": step}, partial)
    partial.replace(path)


def with_single_length(config: MultiEncoderConfig, path: Path) -> MultiEncoderConfig:
    """The config with the number of visual tokens the original gives a model with one encoder, whatever is written.

    Raises:
        ConfigError: the encoder is unknown.
    """
    [backbone] = config.backbone_configs()
    with empty_parameters():
        empty: Any = backbone.drawn() if isinstance(backbone, PublishedWeights) else backbone
        frames = empty.build().grid.frames
    factor = frame_factor(json.loads(path.read_text())["model"]["arch_specifier"])
    return replace(config, visual_feature_length=config.projector_token_length * max(1, frames // factor))
