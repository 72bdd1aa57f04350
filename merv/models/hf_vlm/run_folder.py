"""A run's folder as a Hugging Face folder: what a finished run leaves, and what a run or an evaluation begins with.

full training   config.json, model.safetensors (or shards and their index), tokenizer, processor
adapters        adapter_config.json, adapter_model.safetensors, base.json, tokenizer, processor
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from merv.errors import ConfigError
from merv.models.hf_vlm import loading
from merv.models.hf_vlm.adapter_files import (
    Adapter,
    Base,
    adapter_config_of,
    forget_adapter,
    is_adapter_folder,
    lay_adapter,
    read_adapter,
    save_adapter,
)
from merv.models.hf_vlm.net import HfVlm
from merv.models.hf_vlm.whole import forget_whole, save_whole
from merv.models.qwen2_vl.published import is_roles
from merv.models.stage import LoraConfig

SCALES = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "lora_bias", "trainable_token_indices")
"""What peft knows beside one rank and one alpha, by the names of its config."""

DRAWN = "random-weights"
"""In place of a base's fingerprint where the run drew its weights (`init random`), to measure speed."""


def is_vlm_folder(folder: Path) -> bool:
    """Whether a folder holds an image-text model or an adapter as Hugging Face's libraries write them."""
    if is_adapter_folder(folder):
        return not is_roles(folder)
    file = folder / "config.json"
    if not file.is_file() or is_roles(folder):
        return False
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and "model_type" in said


def write_run(folder: Path, model: HfVlm, state: Mapping[str, Tensor]) -> None:
    """Leave what transformers and peft open.

    What an earlier run left in the folder in the other form goes, once the new one stands.

    Args:
        folder: the run's.
        model: the model; it may be spread over processes, its own tensors are not looked at.
        state: whole tensors by their names in it: all of them, or those that learnt where it wears adapters.
    """
    tensors = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    if model.adapter is not None:
        drawn = model.config.init == "random"  # nobody can have that base again
        base = Base(model.base_name, DRAWN) if drawn else Base.of(model.base_name, model.base)
        save_adapter(folder, tensors, adapter_config_of(model.model), base)
        model.processor.save_pretrained(folder)
        if folder.resolve() != model.base.resolve():  # or the adapter would be left without what it sits on
            forget_whole(folder)
        return
    wanted = getattr(torch, model.config.save_dtype)
    kept = {name: t.to(wanted) if t.dtype == torch.float32 else t for name, t in tensors.items()}
    save_whole(
        folder, kept, model.model.config, model.processor.processor, generation_config=model.published_generation
    )
    forget_adapter(folder)


def start_from(model: HfVlm, folder: Path, lora: LoraConfig) -> None:
    """Begin where an earlier run, of merv or not, ended: with its weights, or with its adapter, which learns on.

    Raises:
        ConfigError: an adapter is there and the stage has other ones, or none.
        CheckpointError: it is of another model, or damaged.
    """
    if not is_adapter_folder(folder):
        options = {"dtype": model.config.dtype, "attention": model.config.attention}
        late = any(parameter.is_meta for parameter in model.parameters())
        model.take((loading.empty if late else loading.published)(folder, **options, what=f"checkpoint `{folder}`"))
        model.base, model.base_name = folder, str(folder.absolute())
        return
    adapter = read_adapter(folder)
    _check_plain(adapter)
    there = (adapter.config.r, float(adapter.config.lora_alpha))
    if (lora.rank, lora.alpha) != there:
        raise ConfigError(
            f"pretrained_checkpoint {folder} is an adapter of rank {there[0]} and alpha {there[1]:g}, the stage's "
            f"lora has {lora.rank} and {lora.alpha:g}; give it the same to let it learn on, or make it part of the "
            f"weights first: merv export merge --adapter {folder} --out DIR"
        )
    lay_adapter(model.model, adapter, base=model.base)
    model.wears(lora)


def _check_plain(adapter: Adapter) -> None:
    """Refuse what the adapter that is left at the end could not say: it has one rank and the scale alpha / rank."""
    config = adapter.config
    said = {name: getattr(config, name, None) for name in (*SCALES, "bias")}
    for name, value in said.items():
        if value and value != "none":
            raise ConfigError(
                f"pretrained_checkpoint {adapter.folder} is an adapter with {name} {value}, which does not learn on "
                f"here; make it part of the weights first: merv export merge --adapter {adapter.folder} --out DIR"
            )


def wear(model: HfVlm, folder: Path) -> None:
    """Make an adapter part of a model's weights.

    Raises:
        CheckpointError: there is none, it is damaged, or of another base.
    """
    lay_adapter(model.model, read_adapter(folder), base=model.base)
    model.settle_adapters()
    model.base_changed = True
