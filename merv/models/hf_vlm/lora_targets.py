"""Places for adapters by short names: `q_proj`, `fc1`, and the fused weights of experts.

As Aria's recipe has it (https://github.com/rhymes-ai/Aria, aria/lora): a short name means every layer so called in
what is not frozen.  Transformers 5 keeps a layer's experts as one parameter, which peft adapts by its name.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from merv.errors import ConfigError
from merv.models.lora import is_adapter
from merv.registry import did_you_mean

_PEFT_KINDS = (nn.Linear, nn.Embedding, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Targets:
    """What gets adapters, by whole paths."""

    modules: list[str]
    """Layers."""
    parameters: list[str]
    """Fused weights of experts."""


def find_targets(model: Any, names: Collection[str]) -> Targets:
    """Layers and experts that learn and are called by one of `names`; no names means all linear ones but the head,
    experts left out.

    Args:
        model: the transformers model; what is frozen is so already.
        names: last parts of paths, or ends of paths such as `experts.down_proj`, or whole paths.

    Raises:
        ConfigError: a name that nothing is called by, or that only frozen parts have.
    """
    modules, parameters = dict(_layers(model)), dict(_experts(model))
    if not names:
        head = model.get_output_embeddings()
        linear = [path for path, m in modules.items() if isinstance(m, nn.Linear) and m is not head and _learns(m)]
        return Targets(sorted(linear), [])
    for name in names:
        called = [path for path in (*modules, *parameters) if _is_called(path, name)]
        if not called:
            known = {path.rpartition(".")[2] for path in (*modules, *parameters)}
            tail = did_you_mean(name, known).replace("registered:", "this model has")
            raise ConfigError(f"lora.target_modules names `{name}`, which this model does not have; {tail}")
    chosen = Targets(
        sorted(path for path, m in modules.items() if _learns(m) and any(_is_called(path, n) for n in names)),
        sorted(path for path, p in parameters.items() if p.requires_grad and any(_is_called(path, n) for n in names)),
    )
    if not chosen.modules and not chosen.parameters:
        raise ConfigError(
            f"lora.target_modules {', '.join(names)}: all of them are frozen; let a part of the model learn"
        )
    return chosen


def check_places(wanted: Targets, there: Targets) -> None:
    """Refuse to let an adapter learn on in other places than it has.

    Raises:
        ConfigError: the first place that only one of the two names.
    """
    names, held = {*wanted.modules, *wanted.parameters}, {*there.modules, *there.parameters}
    if names == held:
        return
    path = min(names ^ held)
    which = ("the stage's lora.target_modules name", "the adapter does not have")
    line = " and ".join(which if path in names else ("the adapter has", f"{which[0]} not"))
    raise ConfigError(
        f"the adapter to start from is in other places: `{path}` is one that {line}; give it the same target_modules "
        "and freeze options, or make it part of the weights first: merv export merge"
    )


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers peft knows, by the paths they have without adapters."""
    for path, module in model.named_modules():
        if isinstance(module, _PEFT_KINDS) and not is_adapter(path):
            yield path.removesuffix(".base_layer"), module


def _experts(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Weights of several experts in one: matrices stacked to three dimensions that belong to no layer."""
    for worn, module in model.named_modules():
        path = worn.replace(".base_layer", "")
        if not isinstance(module, _PEFT_KINDS) and path.rpartition(".")[2] == "experts":
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim == 3:
                    yield f"{path}.{name}", parameter


def _is_called(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters(recurse=False))
