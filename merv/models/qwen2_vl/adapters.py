"""Adapters of several roles on one language model: which of them speaks is switched without loading anything.

VideoMind calls this a chain of LoRA (https://arxiv.org/abs/2503.13444); here the rows of one batch may even have
different roles.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from merv.errors import ConfigError
from merv.models.lora import learn_adapter, set_dropout
from merv.models.stage import LoraConfig

_OF_PEFT = re.compile(r"\.(lora_[AB]|modules_to_save)\.")
"""Parts of a path that are about an adapter, not about the model it sits on."""
BASE = "__base__"
"""peft's name for no adapter."""


def adapter_names(model: nn.Module) -> set[str]:
    """Adapters a model holds."""
    names: set[str] = set()
    for layer in _layers(model):
        names |= set(_held(layer))
    return names


def adapter_lora(model: nn.Module, name: str) -> LoraConfig | None:
    """Rank, scale and places of an adapter a model holds, `target_modules` as whole paths; None when it does not."""
    held = {path: layer for path, layer in _named_layers(model) if name in _held(layer)}
    low_rank = {path: layer for path, layer in held.items() if hasattr(layer, "lora_A")}
    if not low_rank:
        return None
    layer = next(iter(low_rank.values()))
    return LoraConfig(
        rank=layer.r[name],
        alpha=float(layer.lora_alpha[name]),
        dropout=float(getattr(layer.lora_dropout[name], "p", 0.0)),
        target_modules=sorted(low_rank),
        modules_to_save=sorted(path.rpartition(".")[2] for path in held.keys() - low_rank.keys()),
    )


def go_on_learning(model: Any, name: str, wanted: LoraConfig) -> None:
    """Let an adapter that a language model holds learn on, with the dropout that is wanted.

    Raises:
        ConfigError: it differs in anything but dropout.
    """
    there = adapter_lora(model, name)
    assert there is not None, name
    saved, targets = sorted(set(wanted.modules_to_save)), set(wanted_places(model, wanted))
    for field, here, found in (
        ("rank", wanted.rank, there.rank),
        ("alpha", wanted.alpha, there.alpha),
        ("modules_to_save", saved, there.modules_to_save),
        ("target_modules", *_told_apart(targets, set(there.target_modules))),
    ):
        if here != found:
            raise ConfigError(
                f"lora.{field} is {_words(here)}, but the adapter of role {name} to start from has {_words(found)}; "
                "only lora.dropout may differ from what it was trained with"
            )
    set_dropout(model, name, wanted.dropout)
    learn_adapter(model, name)


def wanted_places(model: Any, lora: LoraConfig) -> list[str]:
    """Paths of the linear layers `target_modules` are about, whether or not the model holds adapters; sorted."""
    names, head, found = lora.target_modules, model.get_output_embeddings(), set()
    apart = ""
    for path, module in model.named_modules():
        apart = path if module is head else apart
        if isinstance(module, nn.Linear) and not _OF_PEFT.search(path):
            found.add(path.removesuffix(".base_layer").removesuffix(".original_module"))
    if not names:
        return sorted(found - {apart})
    return sorted(path for path in found if any(path == name or path.endswith(f".{name}") for name in names))


def _told_apart(here: set[str], found: set[str]) -> tuple[list[str], list[str]]:
    """Two sets of paths as last names, where that tells them apart, else as those that only one has."""
    names = [sorted({path.rpartition(".")[2] for path in paths}) for paths in (here, found)]
    return (names[0], names[1]) if names[0] != names[1] else (sorted(here - found), sorted(found - here))


def _words(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:g}"
    return ", ".join(value[:8]) + (", ..." if len(value) > 8 else "") if value else "none"


@contextmanager
def speaking(model: nn.Module, rows: Sequence[str]) -> Iterator[None]:
    """Within it row i of a batch goes through the adapter called `rows[i]`; a name nobody has means the base alone.

    Rows that differ need a model in evaluation mode.
    """
    layers = _layers(model)
    known = adapter_names(model)
    names = [row if row in known else BASE for row in rows]
    if len(set(names)) == 1:
        _switch(layers, names[0])
        yield
        return
    for layer in layers:
        layer.enable_adapters(True)
    handles = []
    for layer in layers:
        held = _held(layer)
        own = [name if name in held else BASE for name in names]
        handles.append(layer.register_forward_pre_hook(partial(_name_adapters, names=own), with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _switch(layers: Sequence[Any], name: str) -> None:
    """Let one adapter act in all layers, or none."""
    for layer in layers:
        held = name in _held(layer)
        if layer.disable_adapters is held:  # only where something changes: peft also sets what learns
            layer.enable_adapters(held)
        if held and list(layer.active_adapters) != [name]:
            layer.set_adapter(name, inference_mode=not layer.training)


def _name_adapters(_: nn.Module, args: Any, kwargs: dict[str, Any], *, names: list[str]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "adapter_names": names}


def _layers(model: nn.Module) -> list[Any]:
    return [layer for _, layer in _named_layers(model)]


def _named_layers(model: nn.Module) -> list[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = BaseTunerLayer | AuxiliaryTrainingWrapper
    return [(path, module) for path, module in model.named_modules() if isinstance(module, kinds)]


def _held(layer: Any) -> Sequence[str]:
    """Adapters a layer has a part of."""
    held = getattr(layer, "modules_to_save", None)
    return list(layer.lora_A) if held is None else list(held)
