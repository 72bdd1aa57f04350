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
from merv.models.lora import add_lora, merge_lora
from merv.models.stage import LoraConfig

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
    os.replace(partial, path)


def read_parts(path: Path) -> tuple[dict[str, Tensor], list[str], LoraConfig]:
    """Tensors, the parts they belong to, and the adapters among them.

    Raises:
        CheckpointError: the file is missing, damaged or not one of merv's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "parts" not in metadata:
                raise CheckpointError(f"{path} does not say which parts it holds; merv writes such files itself")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; is the run finished?") from error
    return tensors, json.loads(metadata["parts"]), LoraConfig(**json.loads(metadata["lora"]))


def load_parts(model: VideoLM, path: Path) -> list[str]:
    """Bring a model to the weights in a file; adapters are merged.  Gives the names of the parts that came from it.

    Raises:
        CheckpointError: the file is of another model.
    """
    tensors, parts, lora = read_parts(path)
    if lora.rank:
        add_lora(model.parts()["llm"].model, lora)
    own = model.state_dict()
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            here = tuple(own[name].shape) if name in own else "nothing"
            raise CheckpointError(f"{path} is of another model: `{name}` is {tuple(tensor.shape)} there, {here} here")
    expected = {n for n in own if n.split(".", 1)[0] in parts and (not lora.rank or not n.startswith("llm."))}
    missing = sorted(expected - set(tensors))
    if missing:
        raise CheckpointError(f"{path} is of another model: it lacks {len(missing)} tensors, such as `{missing[0]}`")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    if lora.rank:
        merge_lora(model.parts()["llm"].model)
    return parts
