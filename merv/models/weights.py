"""A model's trained parts as one safetensors file: what `merv.load` and the next stage open."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from merv.errors import CheckpointError
from merv.models.base import VideoLM
from merv.models.lora import is_adapter
from merv.models.stage import LoraConfig
from merv.runtime import share

FILE = "model.safetensors"


def save_parts(path: Path, state: Mapping[str, Tensor], parts: Iterable[str], lora: LoraConfig) -> None:
    """Write tensors of `parts`, by one rename.

    Args:
        path: the file.
        state: whole tensors by their names in the model.
        parts: names of the parts the file speaks for.
        lora: the LLM's adapters; rank 0 when it has none.
    """
    metadata = {"format": "pt", "parts": json.dumps(sorted(parts)), "lora": json.dumps(asdict(lora))}
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=metadata)
    share(partial)
    os.replace(partial, path)


def read_header(path: Path) -> tuple[list[str], LoraConfig]:
    """The parts a file holds, and the adapters among them; no tensor is read.

    Raises:
        CheckpointError: the file is missing, damaged or not one of merv's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _header(path, file.metadata())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; is the run finished?") from error


def _header(path: Path, metadata: Mapping[str, str] | None) -> tuple[list[str], LoraConfig]:
    if not metadata or "parts" not in metadata:
        raise CheckpointError(f"{path} does not say which parts it holds; merv writes such files itself")
    return json.loads(metadata["parts"]), LoraConfig(**json.loads(metadata["lora"]))


def read_parts(path: Path) -> tuple[dict[str, Tensor], list[str], LoraConfig]:
    """Tensors, the parts they belong to, and the adapters among them.

    Raises:
        CheckpointError: the file is missing, damaged or not one of merv's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            parts, lora = _header(path, file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; is the run finished?") from error
    return tensors, parts, lora


def load_parts(model: VideoLM, path: Path) -> list[str]:
    """Bring a model to the weights in a file; adapters are merged.  Gives the names of the parts that came from it.

    Raises:
        CheckpointError: the file is of another model.
    """
    tensors, parts, lora = read_parts(path)
    if lora.rank:
        model.add_adapters(lora)
    elif "llm" in parts:
        model.base_changed = True
    lay_parts(model, tensors, parts, path, whole_llm=not lora.rank)
    if lora.rank:
        model.settle_adapters()
    return parts


def lay_parts(
    model: VideoLM, tensors: Mapping[str, Tensor], parts: Iterable[str], path: Path, *, whole_llm: bool = True
) -> None:
    """Give a model the tensors of some of its parts, in the types the model has.

    Parts that were laid out without memory (meta device) get it here, once.

    Args:
        model: the model.
        tensors: by their names in the model.
        parts: the parts they belong to; all of each has to be there.
        path: the file they come from, for messages.
        whole_llm: False when only adapters of the LLM are among them.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    own = model.state_dict()
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            here = tuple(own[name].shape) if name in own else "nothing"
            raise CheckpointError(f"{path} is of another model: `{name}` is {tuple(tensor.shape)} there, {here} here")
    expected = {
        n for n in own if n.split(".", 1)[0] in parts and (whole_llm or not n.startswith("llm.") or is_adapter(n))
    }
    missing = sorted(expected - set(tensors))
    if missing:
        raise CheckpointError(f"{path} is of another model: it lacks {len(missing)} tensors, such as `{missing[0]}`")
    in_place = {name: tensor for name, tensor in tensors.items() if not own[name].is_meta}
    with torch.no_grad():
        for name, tensor in in_place.items():
            own[name].copy_(tensor)
    assigned = {name: t.to(own[name].dtype) for name, t in tensors.items() if name not in in_place}
    model.load_state_dict(assigned, strict=False, assign=True)
