"""Role models written as VideoMind publishes them, for its code (https://github.com/yeliudev/VideoMind) and for ours.

`published.py` says what the folder holds.  What only we need stands in config.json under a key of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from merv.models.peft_files import ADAPTER, ADAPTER_CONFIG, PREFIX, write_json, write_tensors
from merv.models.qwen2_vl.adapter_files import Keys, written_name
from merv.models.qwen2_vl.config import TINY, Qwen2VLConfig
from merv.models.qwen2_vl.net import RoleLM
from merv.models.qwen2_vl.patches import MEAN, STD
from merv.models.qwen2_vl.published import CONFIG, HEAD, MODEL_TYPE, SAID, TOKEN_KEYS
from merv.models.qwen2_vl.role_weights import RoleWeights, take_roles
from merv.models.qwen2_vl.tokens import TokenIds

ZOO = "model_zoo"
"""Folder VideoMind's instructions put bases in."""
_TEXT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "use_cache",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
_VISION = (
    "depth",
    "embed_dim",
    "hidden_size",
    "hidden_act",
    "mlp_ratio",
    "num_heads",
    "in_channels",
    "patch_size",
    "spatial_merge_size",
    "temporal_patch_size",
)
_WHOLE = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id", "tie_word_embeddings")
_KEPT = ("base", "path", "tiny", "wording", "protocol", "timestamps", "max_length", "dtype")


@dataclass(frozen=True)
class Written:
    """All of a folder."""

    roles: Sequence[RoleWeights]
    configs: Mapping[str, Qwen2VLConfig]
    """Of the roles, and of the answerer."""
    shape: Mapping[str, Any]
    """Of the base, see `shape_of`."""
    tokenizer: Any
    """With the new tokens."""


def write_roles(model: RoleLM, folder: Path, *, keys: Keys = "videomind") -> None:
    """Write the roles of a model that have an adapter into a folder, which is made.

    Args:
        model: the model; nothing of its base is written.
        folder: where to.
        keys: names of modules as VideoMind's code has them, or as transformers 5 has, for peft beside it.
    """
    shape = shape_of(model.llm.model.config)
    write_folder(folder, Written(take_roles(model), configs_of(model), shape, model.processor.tokenizer), keys=keys)


def configs_of(model: RoleLM) -> dict[str, Qwen2VLConfig]:
    """The config of each role a model plays."""
    processor, found = model.processor, {}
    for role in model.roles:
        budget = processor.budgets[role]
        head: Any = dict(model.heads).get(role)
        found[role] = replace(
            model.config,
            role=role,  # type: ignore[arg-type]  # one of ROLES
            fps=budget.fps,
            max_frames=budget.max_frames,
            min_pixels=budget.min_pixels,
            max_pixels=budget.max_pixels,
            wording=processor.wordings.get(role, processor.wording),
            timestamps=role in processor.timestamps,
            head=model.config.head if head is None else head.config,
        )
    return found


def shape_of(config: Any) -> dict[str, Any]:
    """A base's sizes as transformers 4.45 lays them out, from the config transformers has of it."""
    text, vision = config.get_text_config(), config.vision_config
    rope = text.rope_parameters
    return {
        **{name: getattr(text, name) for name in _TEXT},
        **{name: getattr(config, name) for name in _WHOLE},
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": list(rope["mrope_section"])},
        "vision_config": {name: getattr(vision, name) for name in _VISION},
    }


def write_folder(folder: Path, written: Written, *, keys: Keys = "videomind") -> None:
    """Write config, tokenizer, adapters and heads into a folder, which is made; config.json comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = _owner(written.roles)
    base = base_path(next(iter(written.configs.values())))
    for role in written.roles:
        _write_adapter(folder / role.role, role, base, keys)
        if role.head is not None:
            place = folder if role.role == owner else folder / role.role
            write_tensors(place / HEAD, {PREFIX + key: tensor for key, tensor in role.head.items()})
    _write_tokenizer(folder, written)
    write_json(folder / CONFIG, _config(written, owner, base))


def base_path(config: Qwen2VLConfig) -> str:
    """Where VideoMind's code looks for the base."""
    if config.base == TINY:
        return TINY
    return f"{ZOO}/{config.base.rpartition('/')[2]}" if config.path is None else str(config.path)


def said_of(config: Qwen2VLConfig) -> dict[str, Any]:
    """What we need to have a role's config again, its training aside."""
    budget = config.budgets()[config.role]
    data = asdict(config)
    look = {name: getattr(budget, name) for name in ("fps", "max_frames", "min_pixels", "max_pixels")}
    path = None if config.path is None else str(config.path)
    return {**{name: data[name] for name in _KEPT}, **look, "path": path, "head": data["head"]}


def _owner(roles: Sequence[RoleWeights]) -> str:
    """The role VideoMind's code loads first: the one whose head stands in the folder itself."""
    return next((role.role for role in roles if role.head is not None), roles[0].role)


def _config(written: Written, owner: str, base: str) -> dict[str, Any]:
    ids = TokenIds.of(written.tokenizer)
    return {
        **written.shape,
        "architectures": ["AgentQwen2VLForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "base_model": "qwen2_vl",
        "base_model_path": base,
        "conv_type": "chatml",
        "role": owner,
        **{key: getattr(ids, name) for key, name in TOKEN_KEYS.items()},
        SAID: {role: said_of(config) for role, config in written.configs.items()},
    }


def _write_adapter(folder: Path, role: RoleWeights, base: str, keys: Keys) -> None:
    folder.mkdir(exist_ok=True)
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": role.lora.rank,
        "lora_alpha": role.lora.alpha,
        "lora_dropout": role.lora.dropout,
        "bias": "none",
        "target_modules": [written_name(place, keys) for place in role.places],
        "modules_to_save": role.lora.modules_to_save or None,
    }
    write_json(folder / ADAPTER_CONFIG, said)
    write_tensors(
        folder / ADAPTER, {PREFIX + written_name(name, keys): tensor for name, tensor in role.adapter.items()}
    )


def _write_tokenizer(folder: Path, written: Written) -> None:
    """The tokenizer and what Qwen2-VL's processor needs beside it, in the form transformers 4.45 reads too."""
    tokenizer, vision = written.tokenizer, written.shape["vision_config"]
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    # transformers 5 names a class that older versions lack; the file beside it says all there is to say.
    write_json(file, {**json.loads(file.read_text()), "tokenizer_class": "Qwen2TokenizerFast"})
    if tokenizer.chat_template:
        write_json(folder / "chat_template.json", {"chat_template": tokenizer.chat_template})
    images = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "image_mean": MEAN,
        "image_std": STD,
        "patch_size": vision["patch_size"],
        "temporal_patch_size": vision["temporal_patch_size"],
        "merge_size": vision["spatial_merge_size"],
    }
    write_json(folder / "preprocessor_config.json", images)
