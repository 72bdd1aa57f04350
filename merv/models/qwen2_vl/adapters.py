"""Adapters of several roles on one language model: which of them speaks is switched without loading anything.

VideoMind calls this a chain of LoRA (https://arxiv.org/abs/2503.13444); here the rows of one batch may even have
different roles.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

BASE = "__base__"
"""peft's name for no adapter."""


def adapter_names(model: nn.Module) -> set[str]:
    """Adapters a model holds."""
    names: set[str] = set()
    for layer in _layers(model):
        names |= set(_held(layer))
    return names


def adapter_rank(model: nn.Module, name: str) -> int | None:
    """Rank of an adapter a model holds; None when it does not."""
    ranks = [layer.r[name] for layer in _layers(model) if name in _held(layer) and hasattr(layer, "r")]
    return ranks[0] if ranks else None


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
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return [module for module in model.modules() if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)]


def _held(layer: Any) -> Sequence[str]:
    """Adapters a layer has a part of."""
    held = getattr(layer, "modules_to_save", None)
    return list(layer.lora_A) if held is None else list(held)
