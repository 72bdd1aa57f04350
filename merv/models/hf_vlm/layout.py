"""Where a vision-language model of transformers has its vision tower, projector, language model and repeated blocks.

Models differ in what they call them; what they are is found: transformers names the vision tower and the decoder, and
whatever stands between the two is the projector.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from merv.errors import ConfigError

MERGERS = ("merger", "deepstack_merger_list")
"""Projectors that stand inside a vision tower, as Qwen's do."""


class Part(nn.Module):
    """Modules and loose parameters of a model under one name, to freeze or to look through; it computes nothing."""

    def __init__(self, modules: Iterable[nn.Module], parameters: Iterable[nn.Parameter] = ()) -> None:
        super().__init__()
        self.inner = nn.ModuleList(modules)
        self.loose = nn.ParameterList(parameters)


def parts_of(model: Any) -> dict[str, nn.Module]:
    """Vision tower, projector and language model, in the order data flows; a projector within a tower is in both.

    Raises:
        ConfigError: transformers names no vision tower or no decoder.
    """
    vision, decoder = vision_of(model), model.get_decoder()
    head = model.get_output_embeddings()
    if vision is None or decoder is model or decoder is None or head is None:
        raise ConfigError(
            f"{type(model).__name__} has no vision tower beside a language model with a head that transformers can "
            "name; this family takes image-text-to-text models such as Qwen2.5-VL, Aria or LLaVA"
        )
    return {
        "vision": Part([vision]),
        "projector": Part(*_between(model, vision, decoder, head)),
        "llm": Part([decoder, head]),
    }


def vision_of(model: Any) -> nn.Module | None:
    """The vision tower; None where there is none."""
    found = model.get_encoder(modality="image")
    return None if found is None or found is model or found is model.base_model else found


def _between(
    model: Any, vision: nn.Module, decoder: nn.Module, head: nn.Module
) -> tuple[list[nn.Module], list[nn.Parameter]]:
    """What is neither tower nor language model: the largest modules, and loose parameters."""
    taken = {id(module) for part in (vision, decoder, head) for module in part.modules()}
    within = [getattr(vision, name) for name in MERGERS if hasattr(vision, name)]
    modules: list[nn.Module] = list(within)
    parameters: list[nn.Parameter] = []

    def walk(module: nn.Module) -> None:
        parameters.extend(module.parameters(recurse=False))
        for child in module.children():
            if id(child) in taken:
                continue
            if any(id(below) in taken for below in child.modules()):
                walk(child)
            elif any(True for _ in child.parameters()):
                modules.append(child)

    walk(model)
    return modules, parameters


def blocks_of(part: nn.Module) -> list[nn.Module]:
    """The repeated layers of a part: elements of lists of modules of one kind, the outermost ones."""
    found: list[nn.Module] = []

    def walk(module: nn.Module) -> None:
        for child in module.children():
            if isinstance(child, nn.ModuleList) and _is_repeated(child):
                found.extend(child)
            else:
                walk(child)

    for root in part.inner if isinstance(part, Part) else [part]:
        walk(root)
    return found


def _is_repeated(layers: nn.ModuleList) -> bool:
    kinds = {type(layer) for layer in layers}
    return len(kinds) == 1 and any(True for _ in layers.parameters()) and not isinstance(layers[0], nn.Linear)


def decoder_layers(model: Any, numbers: Sequence[int]) -> list[nn.Module]:
    """Layers of the language model by number.

    Raises:
        ConfigError: it has no layer of such a number.
    """
    layers = list(model.get_decoder().layers)
    wrong = [number for number in numbers if not 0 <= number < len(layers)]
    if wrong:
        raise ConfigError(f"freeze_llm_layers names layer {wrong[0]}; the language model has 0 to {len(layers) - 1}")
    return [layers[number] for number in numbers]
