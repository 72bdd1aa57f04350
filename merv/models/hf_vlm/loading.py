"""A published image-text model and its processor from a folder."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from merv.backbones.llm.loading import load_model, read_config
from merv.backbones.weights import empty_parameters
from merv.errors import ConfigError
from merv.models.hf_vlm.experts import find_routers

FAMILY = "AutoModelForImageTextToText"


def published(folder: Path, *, dtype: str, attention: str, what: str) -> Any:
    """The model with its weights.

    Raises:
        ConfigError: transformers knows no image-text-to-text model of this kind, or not with this attention.
        CheckpointError: weights are damaged or of another model.
    """
    return load_model(folder, dtype=dtype, attention=attention, what=what, family=FAMILY)


def random(folder: Path, *, dtype: str, attention: str, what: str) -> Any:
    """The model's shape with weights from torch's generator, to measure speed and memory.

    Raises:
        ConfigError: transformers knows no image-text-to-text model of this kind, or not with this attention.
    """
    import transformers

    config = read_config(folder, what)
    try:
        return getattr(transformers, FAMILY).from_config(
            config, dtype=getattr(torch, dtype), attn_implementation=attention, trust_remote_code=False
        )
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{what}: {str(error).splitlines()[0][:300]}") from error


def empty(folder: Path, *, dtype: str, attention: str, what: str) -> Any:
    """The model's shape without memory for its weights; buffers are there.

    Raises:
        ConfigError: transformers knows no image-text-to-text model of this kind, or not with this attention.
    """
    with empty_parameters():
        return random(folder, dtype=dtype, attention=attention, what=what)


def processor(folder: Path, what: str) -> Any:
    """The processor: tokenizer, chat template, image and video processors.

    Raises:
        ConfigError: it is missing or damaged, or brings no chat template or no fast tokenizer.
    """
    from transformers import AutoProcessor

    try:
        found: Any = AutoProcessor.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ConfigError(f"{what}: the processor in {folder} cannot be used: {_first_line(error)}") from error
    if not hasattr(found, "tokenizer") or not hasattr(found, "image_processor"):
        raise ConfigError(
            f"{what}: {folder} has a {type(found).__name__}, which takes no images; it needs a processor"
        )
    if not getattr(found, "chat_template", None):
        raise ConfigError(f"{what}: {folder} has no chat template; take one that has, such as an -Instruct model")
    if not found.tokenizer.is_fast:
        raise ConfigError(f"{what}: {folder} has no tokenizer.json, by which answers are found in a text; add one")
    if found.tokenizer.pad_token is None:
        found.tokenizer.pad_token = found.tokenizer.eos_token
    found.tokenizer.padding_side = "right"
    return found


def has_experts(model: nn.Module) -> bool:
    """Whether a model is a mixture of experts."""
    return bool(find_routers(model))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
