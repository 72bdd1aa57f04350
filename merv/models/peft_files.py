"""The two files of an adapter as peft writes it (https://github.com/huggingface/peft): config and tensors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from merv.errors import CheckpointError
from merv.runtime import share

ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the names of a model."""
_PICKLES = ("adapter_model.bin", "pytorch_model.bin")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: the file is missing, damaged or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; copy it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no JSON object; copy it again")
    return found


def without_prefix(key: str) -> str:
    """A key without what peft puts before it."""
    return key.removeprefix(PREFIX)


def file_of_tensors(path: Path) -> Path:
    """The path itself, once there is a file that is no pickle.

    Raises:
        CheckpointError: it is missing, or a pickle stands in its place.
    """
    if path.is_file():
        return path
    pickle = next((path.parent / name for name in _PICKLES if (path.parent / name).is_file()), None)
    if pickle is not None:
        raise CheckpointError(f"{pickle} is refused: it is a pickle, which may run code; save it as {path.name}")
    raise CheckpointError(f"{path.parent} lacks {path.name}; copy it as well")


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object, by one rename."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name, by one rename."""
    from safetensors.torch import save_file

    partial = path.with_name(f"{path.name}.partial")
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    save_file(plain, partial, metadata={"format": "pt"})
    share(partial)
    os.replace(partial, path)
