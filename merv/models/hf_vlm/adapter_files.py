"""An adapter of any transformers model as a folder plain peft opens, and the base it belongs to beside it.

adapter_config.json, adapter_model.safetensors   as peft writes them (https://github.com/huggingface/peft)
base.json                                        the base's name and fingerprint
"""

import logging
import re
import warnings
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from merv.backbones.weights import read_tensors
from merv.errors import CheckpointError
from merv.models.hf_vlm.fingerprint import base_fingerprint
from merv.models.lora import is_adapter, learn_adapter
from merv.models.peft_files import (
    ADAPTER,
    ADAPTER_CONFIG,
    PREFIX,
    file_of_tensors,
    read_json,
    without_prefix,
    write_json,
    write_tensors,
)

logger = logging.getLogger(__name__)

BASE = "base.json"
_WRAPPER = "_checkpoint_wrapped_module."
"""What activation checkpointing puts into paths."""


class Base(NamedTuple):
    """What an adapter was trained on."""

    name: str
    """The hub's name, or a folder."""
    fingerprint: str

    @classmethod
    def of(cls, name: str, folder: Path) -> "Base":
        """The base called `name`, whose files are in `folder`."""
        return cls(name, base_fingerprint(folder))


@dataclass(frozen=True)
class Adapter:
    """What a folder holds."""

    folder: Path
    config: Any
    """peft's LoraConfig."""
    tensors: dict[str, Tensor]
    """By the names they have without peft's prefix and without the adapter's own name."""
    base: str
    """The base's name or folder; empty where nothing says it."""
    fingerprint: str | None
    """Of the base; None for an adapter somebody else's program wrote."""


def is_adapter_folder(folder: Path) -> bool:
    """Whether a folder holds an adapter as peft writes it."""
    return (folder / ADAPTER_CONFIG).is_file()


def save_adapter(folder: Path, tensors: Mapping[str, Tensor], peft_config: Any, base: Base) -> None:
    """Write an adapter; the config comes last.

    Args:
        folder: is made.
        tensors: whole tensors by their names in the transformers model; what belongs to no adapter is left out.
        peft_config: peft's LoraConfig, such as `adapter_config_of` finds in a model.
        base: what it was trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = {alone(name): tensor for name, tensor in tensors.items() if is_adapter(name)}
    write_tensors(folder / ADAPTER, {PREFIX + name: tensor for name, tensor in own.items()})
    write_json(folder / BASE, {"base": base.name, "fingerprint": base.fingerprint})
    said = {**peft_config.to_dict(), "base_model_name_or_path": base.name, "inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in said.items()}
    write_json(folder / ADAPTER_CONFIG, plain)


def forget_adapter(folder: Path) -> None:
    """Delete the adapter in a folder, if there is one; the config, without which it is none, goes first."""
    for name in (ADAPTER_CONFIG, BASE, ADAPTER):
        (folder / name).unlink(missing_ok=True)


def adapter_config_of(model: Any, name: str = "default") -> Any:
    """The peft LoraConfig of an adapter in a transformers model, its places as whole paths.

    What it says is read off the layers, since peft keeps one config where an adapter was put in by two.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer
    from peft.tuners.lora.layer import ParamWrapper
    from peft.utils.other import ModulesToSaveWrapper

    layers: dict[str, Any] = {}
    parameters: list[str] = []
    saved: list[str] = []
    for path, module in model.named_modules():
        place = path.replace(_WRAPPER, "").replace(".base_layer", "")
        if isinstance(module, ParamWrapper) and name in module.lora_A:
            parameters.append(f"{place}.{module.parameter_name}")
        elif isinstance(module, LoraLayer) and (name in module.lora_A or name in module.lora_embedding_A):
            layers[place] = module
        elif isinstance(module, ModulesToSaveWrapper) and name in module.modules_to_save:
            saved.append(place)
        if isinstance(module, LoraLayer) and name in module.r:
            rank, alpha = module.r[name], module.lora_alpha[name]
    assert layers or parameters, f"the model holds no adapter `{name}`"
    chances = [getattr(layer.lora_dropout[name], "p", 0.0) for layer in layers.values()]
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0 if parameters else max(chances),  # peft refuses dropout on parameters
        target_modules=sorted(layers),
        target_parameters=sorted(parameters) or None,
        modules_to_save=sorted(saved) or None,
    )


def alone(name: str) -> str:
    """The name in its adapter alone of a tensor in a model with adapters, whatever the adapter is called."""
    name = re.sub(r"\.modules_to_save\.\w+\.", ".", name)
    return re.sub(r"(\.lora_[A-Za-z_]+)\.\w+(\.weight|\.bias)$|(\.lora_embedding_[AB])\.\w+$", r"\1\2\3", name)


def read_adapter(folder: Path) -> Adapter:
    """Read the adapter in a folder; nothing is put into a model.

    Raises:
        CheckpointError: there is none, a file is damaged or a pickle, or it is no LoRA.
    """
    if not is_adapter_folder(folder):
        found = "there is no such folder" if not folder.is_dir() else f"it has no {ADAPTER_CONFIG}"
        raise CheckpointError(f"{folder} holds no adapter: {found}; name a folder that peft or merv wrote")
    said = read_json(folder / ADAPTER_CONFIG)
    if said.get("peft_type") != "LORA" or not isinstance(said.get("r"), int):
        raise CheckpointError(
            f"{folder / ADAPTER_CONFIG} is of a {said.get('peft_type')} of rank {said.get('r')}; expected a LORA"
        )
    file = file_of_tensors(folder / ADAPTER)
    tensors = {without_prefix(key): tensor for key, tensor in read_tensors(file).items()}
    if not any(".lora_" in name for name in tensors):
        raise CheckpointError(f"{file} holds no adapter: none of its tensors is called lora_A")
    beside = read_json(folder / BASE) if (folder / BASE).is_file() else {}
    base = str(beside.get("base") or said.get("base_model_name_or_path") or "")
    return Adapter(folder, _config(said, folder / ADAPTER_CONFIG), tensors, base, beside.get("fingerprint"))


def _config(said: dict[str, Any], path: Path) -> Any:
    from peft import PeftConfig

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unexpected keyword arguments")  # of a newer peft
            return PeftConfig.from_peft_type(**{key: value for key, value in said.items() if key != "runtime_config"})
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be used: {str(error).splitlines()[0]}; copy it again") from error


def check_base(adapter: Adapter, folder: Path, name: str = "") -> None:
    """Refuse a base the adapter was not trained on.

    Without a fingerprint shapes decide, in `lay_adapter`; another name is only worth a warning.

    Args:
        adapter: the adapter.
        folder: with the files of the base at hand.
        name: what the user calls it; empty means the folder.

    Raises:
        CheckpointError: it is another one.
    """
    name = name or str(folder)
    if adapter.fingerprint is None:
        trained_on = Path(adapter.base).name
        if trained_on and trained_on not in (Path(name).name, folder.name):
            logger.warning("%s says it was trained on %s; going on with %s", adapter.folder, adapter.base, name)
        return
    found = base_fingerprint(folder)
    if found != adapter.fingerprint:
        raise CheckpointError(
            f"adapter {adapter.folder} was trained on {adapter.base} (fingerprint {adapter.fingerprint}), not on "
            f"{name} ({found}); name --base {adapter.base}"
        )


def lay_adapter(model: Any, adapter: Adapter, *, base: Path | None = None, name: str = "default") -> None:
    """Put an adapter into a transformers model, in float32; it learns, everything else is frozen.

    Args:
        model: the transformers model; older names of its layers in the file are understood as peft understands them.
        adapter: what was read.
        base: folder the model was loaded from, to be compared with what the adapter was trained on; None does not.
        name: what the adapter is called in the model.

    Raises:
        CheckpointError: it is of another model; the first difference is named.
    """
    from peft import inject_adapter_in_model, set_peft_model_state_dict

    if base is not None:
        check_base(adapter, base)
    adapter = _of_today(adapter, model)
    file = adapter.folder / ADAPTER
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`|Model has `tie_word_embeddings")
            inject_adapter_in_model(adapter.config, model, adapter_name=name)
        for own, parameter in model.named_parameters():
            if is_adapter(own):
                parameter.data = parameter.data.float()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Some weights of")  # told below
            left = set_peft_model_state_dict(model, dict(adapter.tensors), name, ignore_mismatched_sizes=True)
    except KeyError as error:  # of a module that is kept whole
        raise CheckpointError(f"{file} is of another model: it lacks {error}") from error
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise CheckpointError(f"{adapter.folder} is of another model: {line}; name the base it is for") from error
    _check_laid(model, adapter, name, left)
    learn_adapter(model, name)


def _of_today(adapter: Adapter, model: Any) -> Adapter:
    """The adapter with the names transformers has today, where it was written with older ones."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    modules = {path for path, _ in model.named_modules()}
    strange = [name for name in adapter.tensors if ".lora_" in name and _place(name) not in modules]
    if not strange or not hasattr(model, "config"):
        return adapter
    rules = [rule for rule in get_model_conversion_mapping(model) if len(rule.source_patterns) == 1]

    def today(name: str) -> str:
        new = name
        for rule in rules:
            new = re.sub(rule.source_patterns[0], rule.target_patterns[0], new)
        return new if _place(new) in modules else name

    tensors = {today(name): tensor for name, tensor in adapter.tensors.items()}
    if tensors.keys() == adapter.tensors.keys():
        return adapter
    config = copy(adapter.config)
    config.target_modules = {_place(name) for name in tensors if ".lora_" in name}
    return replace(adapter, config=config, tensors=tensors)


def _place(name: str) -> str:
    """The module a tensor of an adapter belongs to."""
    path = name.rpartition(".lora_")[0] if ".lora_" in name else name.rpartition(".")[0]
    return path.replace(".base_layer", "")


def _check_laid(model: Any, adapter: Adapter, name: str, left: Any) -> None:
    """Refuse what found no place in the model, and places that got nothing."""
    file, own = adapter.folder / ADAPTER, model.state_dict()
    for key in left.missing_keys:
        if is_adapter(key) and f".{name}" in key:
            there = adapter.tensors.get(alone(key))
            found = "missing" if there is None else f"{tuple(there.shape)}"
            raise CheckpointError(
                f"{file} is of another model: `{alone(key)}` is {found} there, {tuple(own[key].shape)} here; name the "
                "base it is for"
            )
    if left.unexpected_keys:
        raise CheckpointError(
            f"{file} is of another model: the base has no `{alone(left.unexpected_keys[0])}`; name the base it is for"
        )
