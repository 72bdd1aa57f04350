"""The adapter of one role as peft writes it: adapter_config.json and adapter_model.safetensors.

Names of modules differ: VideoMind's files (https://github.com/yeliudev/VideoMind) come from transformers 4.45, where
the language model's layers are `model.layers`; in transformers 5 they are `model.language_model.layers`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from merv.backbones.weights import read_tensors
from merv.errors import CheckpointError
from merv.models.peft_files import ADAPTER, ADAPTER_CONFIG, file_of_tensors, read_json, without_prefix
from merv.models.qwen2_vl.role_weights import RoleWeights
from merv.models.stage import LoraConfig

Keys = Literal["videomind", "transformers5"]
"""Whose names of modules."""
_REFUSED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
"""Options of peft that would change what an adapter computes."""
_NEW, _OLD = "model.language_model.", "model."


def read_adapter(folder: Path, role: str, base: str) -> RoleWeights:
    """Read the adapter in a folder.

    Args:
        folder: the role's.
        role: its name.
        base: the base that the whole is for, as config.json names it; may be empty.

    Raises:
        CheckpointError: a file is missing, damaged or a pickle, or contradicts the config beside it.
    """
    said, file = read_json(folder / ADAPTER_CONFIG), file_of_tensors(folder / ADAPTER)
    _check_said(said, folder / ADAPTER_CONFIG, base)
    adapter = {plain_name(key, file): tensor for key, tensor in read_tensors(file).items()}
    named = said.get("target_modules") or []
    lora = LoraConfig(
        rank=said["r"],
        alpha=float(said.get("lora_alpha", said["r"])),
        dropout=float(said.get("lora_dropout") or 0.0),
        modules_to_save=list(said.get("modules_to_save") or []),
    )
    found = RoleWeights(role, lora, adapter, file=file)
    # A pattern (`all-linear`, a regular expression) is what the file makes of it.
    lora.target_modules = found.places if isinstance(named, str) else [module_name(name) for name in named]
    _check_tensors(found)
    return found


def _check_said(said: Mapping[str, Any], path: Path, base: str) -> None:
    if said.get("peft_type") != "LORA" or not isinstance(said.get("r"), int):
        raise CheckpointError(f"{path} is of a {said.get('peft_type')} of rank {said.get('r')}; expected a LORA")
    refused = [name for name in _REFUSED if said.get(name)]
    refused += ["bias"] if said.get("bias", "none") != "none" else []
    if refused:
        raise CheckpointError(f"{path} sets {refused[0]}, which changes what adapters compute; merv knows plain LoRA")
    names = [Path(str(name or "")).name for name in (said.get("base_model_name_or_path"), base)]
    if all(names) and names[0] != names[1]:
        raise CheckpointError(f"{path} is for the base {names[0]}, {path.parents[1] / 'config.json'} for {names[1]}")


def _check_tensors(role: RoleWeights) -> None:
    """Compare an adapter's tensors with what its config says."""
    rank = role.lora.rank
    for name, tensor in role.adapter.items():
        if tensor.ndim != 2:
            raise CheckpointError(f"{role.file}: `{name}` is {tuple(tensor.shape)}; adapters hold matrices")
        found = tensor.shape[0] if ".lora_A." in name else tensor.shape[-1]
        if ".lora_" in name and found != rank:
            raise CheckpointError(
                f"{role.file}: `{name}` is {tuple(tensor.shape)}, of rank {found}; {ADAPTER_CONFIG} says {rank}"
            )
    there, said = {name.split(".")[-2] for name in role.words}, set(role.lora.modules_to_save)
    for name in sorted(there ^ said):
        where = "holds" if name in there else "lacks"
        raise CheckpointError(f"{role.file} {where} `{name}`; {ADAPTER_CONFIG} has modules_to_save {sorted(said)}")
    if not role.places:
        raise CheckpointError(f"{role.file} holds no adapter: none of its tensors is called lora_A")


def plain_name(key: str, file: Path) -> str:
    """The name in its adapter alone of what peft wrote, on transformers 4.45 or 5.

    Raises:
        CheckpointError: it is no tensor of a language model's adapter.
    """
    name = re.sub(r"\.modules_to_save(\.\w+)?\.weight$", ".weight", without_prefix(key))
    name = re.sub(r"\.(lora_[AB])(\.\w+)?\.weight$", r".\1.weight", name)
    if name.startswith(("visual.", "model.visual.")):
        raise CheckpointError(f"{file}: `{key}` is about the vision tower; adapters sit in the language model here")
    if not name.startswith(("model.", "lm_head.")) or not name.endswith(".weight"):
        raise CheckpointError(f"{file}: `{key}` is no tensor of an adapter on a Qwen2-VL")
    return module_name(name)


def module_name(name: str) -> str:
    """A module's or tensor's name in transformers 5; last names stay as they are."""
    return name.replace(_OLD, _NEW, 1) if name.startswith(_OLD) and not name.startswith(_NEW) else name


def written_name(name: str, keys: Keys) -> str:
    """The name that files of a kind have for what is `name` in transformers 5."""
    return name.replace(_NEW, _OLD, 1) if keys == "videomind" and name.startswith(_NEW) else name
