"""A Hugging Face folder written: small files copied, weights a file at a time, values cast."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from merv.backbones.llm.files import SMALL_FILES
from merv.errors import ConfigError
from merv.runtime import share

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def write_weights(
    folder: Path, files: Mapping[str, str], tensors: Callable[[Iterable[str]], dict[str, Tensor]]
) -> None:
    """Write tensors into the files that are to hold them, one file in memory at a time.

    Args:
        folder: is there.
        files: file of each tensor.
        tensors: gives the tensors of some names.
    """
    from safetensors.torch import save_file

    by_file: dict[str, list[str]] = {}
    for name, file in files.items():
        by_file.setdefault(file, []).append(name)
    total = 0
    for file, names in by_file.items():
        found = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors(names).items()}
        total += sum(tensor.nbytes for tensor in found.values())
        save_file(found, folder / file, metadata={"format": "pt"})
        share(folder / file)
    if set(by_file) != {FILE}:
        index = {"metadata": {"total_size": total}, "weight_map": dict(files)}
        (folder / INDEX).write_text(json.dumps(index, indent=1))


def copy_small(source: Path, folder: Path) -> None:
    """Copy config, tokenizer and processor, and no index of weights."""
    folder.mkdir(exist_ok=True)
    for pattern in SMALL_FILES:
        for path in source.glob(pattern):
            if path.is_file() and path.name != INDEX:
                shutil.copyfile(path, folder / path.name)


def cast(tensor: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    """A tensor in another type; None keeps its own.

    Raises:
        ConfigError: float16 has no room for its values.
    """
    if dtype is None or not tensor.is_floating_point():
        return tensor
    changed = tensor.to(dtype)
    if dtype is torch.float16 and changed.isinf().any() and not tensor.isinf().any():
        raise ConfigError(f"`{name}` holds {tensor.abs().max():.3g}, more than float16 can; choose --dtype bfloat16")
    return changed
