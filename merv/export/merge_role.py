"""One role of a role model as a plain Qwen2-VL whose weights hold the role's adapter."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from merv.errors import ConfigError
from merv.export.merge import merged
from merv.models.hf_vlm.whole import num_bytes, save_whole
from merv.models.peft_files import write_json, write_tensors
from merv.models.qwen2_vl.adapters import adapter_names
from merv.models.qwen2_vl.base import folder_of
from merv.models.qwen2_vl.config import TINY
from merv.models.qwen2_vl.net import RoleLM
from merv.space import check_space

HEAD, HEAD_CONFIG = "grounding_head.safetensors", "grounding_head.json"
"""Of a role that finds moments; transformers knows no such thing, and reads neither."""


def choose_role(model: RoleLM, role: str | None) -> str:
    """The role to merge: the one named, or the only one with an adapter.

    Raises:
        ConfigError: none is named where there are several, or it has no adapter.
    """
    held = sorted(adapter_names(model.llm))
    if not held:
        raise ConfigError("no role of this model has an adapter; there is nothing to merge")
    if role is None and len(held) > 1:
        raise ConfigError(f"roles of one model are merged one at a time; name --role {' or --role '.join(held)}")
    if role is not None and role not in held:
        raise ConfigError(f"role {role} has no adapter here; {', '.join(held)} {'has' if len(held) == 1 else 'have'}")
    return role or held[0]


def merge_role(model: RoleLM, role: str, out: Path, dtype: torch.dtype | None = None) -> None:
    """Write the folder; the model is of no use afterwards.

    Args:
        model: with its adapters, in float32.
        role: whose adapter becomes part of the weights.
        out: folder to write into; it is there.
        dtype: type of the weights; None means the one the base is kept in.

    Raises:
        ConfigError: the disk has no room.
    """
    if dtype is None:
        dtype = torch.float32 if model.config.base == TINY else getattr(torch, model.config.dtype)
    whole: Any = model.llm.model
    whole.model.visual = model.vision
    tensors = merged(whole, dtype, name=role)
    check_space(out, num_bytes(tensors))
    save_whole(out, tensors, whole.config, _processor(model))
    if role in model.heads:
        head: Any = model.heads[role]
        write_tensors(out / HEAD, head.state_dict())
        write_json(out / HEAD_CONFIG, asdict(head.config))


def _processor(model: RoleLM) -> Any:
    """That of the base, with the roles' tokens."""
    tokenizer, cut = model.processor.tokenizer, model.processor.geometry
    if model.config.base != TINY and model.config.init == "pretrained":
        from transformers import AutoProcessor

        processor: Any = AutoProcessor.from_pretrained(str(folder_of(model.config.base, model.config.path)))
        processor.tokenizer = tokenizer
        return processor
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    sizes: dict[str, Any] = {"patch_size": cut.patch, "temporal_patch_size": cut.temporal, "merge_size": cut.merge}
    return Qwen2VLProcessor(Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes))
