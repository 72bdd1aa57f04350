"""A whole model as a Hugging Face folder, from tensors alone: transformers loads it without a step in between.

Names and layout of the files are the hub's, into which transformers turns those it has in memory: a checkpoint-wrapped
or sharded module needs to be nowhere near.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.files import shards_of
from merv.backbones.llm.loading import without_bars
from merv.runtime import quiet, share

logger = logging.getLogger(__name__)

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
PARTIAL = "weights.partial"
"""Folder within the run's in which everything is written before it is moved."""


def save_whole(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: Any,
    processor: Any = None,
    generation_config: Any = None,
    max_shard_size: str = "5GB",
) -> None:
    """Write config, weights and processor; one process does.

    Whatever is killed on the way, weights in `folder` are the old ones or the new ones, whole.

    Args:
        folder: is made; files of the same names in it are replaced.
        tensors: whole tensors on the CPU, by transformers' names in memory.
        config: transformers' config of the model.
        processor: with its tokenizer; None writes none.
        generation_config: None means the one that follows from the config.
        max_shard_size: larger models get several files and an index.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)  # a process that was killed left it
    try:
        _write(partial, dict(tensors), config, generation_config, max_shard_size)
        if processor is not None:
            processor.save_pretrained(partial)
        _move(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def forget_whole(folder: Path) -> None:
    """Delete the whole model in a folder, if there is one; tokenizer and processor stay."""
    for name in ("config.json", "generation_config.json", *sorted(_weights_in(folder))):
        (folder / name).unlink(missing_ok=True)


def empty_model(config: Any, dtype: torch.dtype | None = None) -> Any:
    """The model of a config without memory for its weights."""
    import transformers
    from transformers import AutoModelForImageTextToText

    kind = type(config) in AutoModelForImageTextToText._model_mapping
    family = transformers.AutoModelForImageTextToText if kind else transformers.AutoModelForCausalLM
    with torch.device("meta"):
        return family.from_config(config, dtype=dtype, attn_implementation="eager")


def num_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of tensors on a disk; those that share memory count once."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors.values()}.values())


def _write(folder: Path, tensors: dict[str, Tensor], config: Any, generation_config: Any, max_shard_size: str) -> None:
    types = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    model = empty_model(config, max(set(types), key=types.count))
    own, tied = model.state_dict(), dict(model.all_tied_weights_keys)
    lacking = sorted(own.keys() - tensors.keys() - tied.keys())
    strange = sorted(tensors.keys() - own.keys())
    assert not lacking, lacking
    assert not strange, strange
    for name in tied.keys() & tensors.keys():  # gathered tensors no longer share memory
        assert torch.equal(tensors[name], tensors[tied[name]]), name
        del tensors[name]
    if generation_config is not None:
        model.generation_config = _saveable(generation_config)
    with quiet("transformers"), without_bars():
        model.save_pretrained(folder, state_dict=tensors, max_shard_size=max_shard_size)


def _saveable(generation_config: Any) -> Any:
    """The config, or the default where transformers would refuse to write what it read: some published ones sample."""
    from transformers import GenerationConfig

    try:
        generation_config.validate(strict=True)
    except ValueError as error:
        logger.warning("generation_config.json is left out: %s", " ".join(str(error).split())[:160])
        return GenerationConfig()
    return generation_config


def _move(partial: Path, folder: Path) -> None:
    """Bring files to their place: what makes the new weights valid comes last, then what older ones had goes."""
    last = partial / (INDEX if (partial / INDEX).is_file() else FILE)
    written = {path.name for path in partial.iterdir()}
    older = _weights_in(folder) - written
    for path in partial.glob("*.safetensors"):
        share(path)
    for path in sorted(partial.iterdir()):
        if path != last:
            os.replace(path, folder / path.name)
    os.replace(last, folder / last.name)
    for name in sorted(older):
        (folder / name).unlink(missing_ok=True)


def _weights_in(folder: Path) -> set[str]:
    """Files of an earlier model's weights."""
    found = {name for name in (FILE, INDEX) if (folder / name).is_file()}
    return found | set(shards_of(folder / INDEX) if INDEX in found else ())
