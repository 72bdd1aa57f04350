"""Folders of roles on the tiny base, written by hand as VideoMind publishes them, for tests to change and break."""

import json
import random
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from merv.models.qwen2_vl.grounding_head import GroundingHead, GroundingHeadConfig
from merv.models.qwen2_vl.tiny import TinyBaseConfig, tiny_tokenizer

HIDDEN, LAYERS, RANK = TinyBaseConfig.hidden_size, TinyBaseConfig.num_layers, 4
KNOWN = len(tiny_tokenizer())
VOCABULARY = KNOWN + 3
"""Three tokens are new."""
PREFIX = "base_model.model."
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
WORDS = {"model.embed_tokens.weight": "embed_tokens", "lm_head.weight": "lm_head"}
IDS = {"reg_token_id": KNOWN, "seg_s_token_id": KNOWN + 1, "seg_e_token_id": KNOWN + 2}


def places(first: str = "model.layers") -> list[str]:
    return [f"{first}.{layer}.self_attn.{name}" for layer in range(LAYERS) for name in ATTENTION]


def adapter(seed: int, *, words: bool, rows: int = VOCABULARY, rank: int = RANK) -> dict[str, torch.Tensor]:
    """Tensors as peft names them on transformers 4.45."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for place in places():
        tensors[f"{PREFIX}{place}.lora_A.weight"] = torch.randn(rank, HIDDEN, generator=generator)
        tensors[f"{PREFIX}{place}.lora_B.weight"] = torch.randn(HIDDEN, rank, generator=generator)
    for name in WORDS if words else ():
        tensors[PREFIX + name] = torch.randn(rows, HIDDEN, generator=generator)
    return tensors


def head(seed: int = 0, *, dims: int = 256, prefix: str = PREFIX) -> dict[str, torch.Tensor]:
    """A head as named_parameters of VideoMind's model has it, its loss among them."""
    generator = torch.Generator().manual_seed(seed)
    state = GroundingHead(GroundingHeadConfig(dims=dims), HIDDEN).state_dict()
    return {prefix + key: torch.rand(tensor.shape, generator=generator) for key, tensor in state.items()}


def shuffled(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    names = list(tensors)
    random.Random(0).shuffle(names)
    return {name: tensors[name] for name in names}


def write_adapter(folder: Path, tensors, *, words: bool, **said) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "tiny",
        "r": RANK,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "bias": "none",
        "target_modules": places(),
        "modules_to_save": list(WORDS.values()) if words else None,
        "use_dora": False,
        "rank_pattern": {},
        **said,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(shuffled(tensors), folder / "adapter_model.safetensors")


def write_published(folder: Path) -> Path:
    """Planner, grounder and verifier as in yeliudev/VideoMind-2B."""
    folder.mkdir(exist_ok=True)
    config = {"model_type": "agent_qwen2_vl", "role": "grounder", "base_model_path": "tiny", "hidden_size": HIDDEN}
    (folder / "config.json").write_text(json.dumps({**config, **IDS}))
    save_file(head(), folder / "pytorch_model.safetensors")
    for seed, role in enumerate(("planner", "grounder", "verifier")):
        words = role != "planner"
        write_adapter(folder / role, adapter(seed, words=words), words=words)
    return folder


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_tensors(path: Path, change) -> None:
    """Write a file again after `change` has changed its tensors, or given others."""
    tensors = load_file(path)
    changed = change(tensors)
    save_file(tensors if changed is None else changed, path)
