"""Low-rank adapters on a language model, through peft: added in place, so that the rest of the code sees one LLM."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from merv.errors import ConfigError
from merv.models.stage import LoraConfig


def add_lora(model: Any, config: LoraConfig, name: str = "default", parameters: Sequence[str] = ()) -> None:
    """Put adapters into a transformers model; they learn, everything else in it is frozen.

    Args:
        model: the model; it may hold adapters of other names.
        config: their rank and places.
        name: what they are called.
        parameters: whole paths of experts' fused weights that get adapters beside `target_modules`; they have no
            dropout, which peft cannot give them.

    Raises:
        ConfigError: none of `target_modules` is there, or a module of `modules_to_save` is not.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    common: dict[str, Any] = {"r": config.rank, "lora_alpha": config.alpha}
    targets = config.target_modules or ([] if parameters else linear_names(model))
    saved = config.modules_to_save or None
    wanted = [PeftConfig(**common, lora_dropout=config.dropout, target_modules=targets, modules_to_save=saved)]
    if parameters:
        wanted.append(PeftConfig(**common, target_modules=[], target_parameters=list(parameters)))
    if parameters and not targets:
        wanted.pop(0)
    missing = sorted(set(config.modules_to_save) - {path.rpartition(".")[2] for path, _ in model.named_modules()})
    if missing:
        raise ConfigError(f"lora.modules_to_save names {', '.join(missing)}, which the model does not have")
    try:
        with warnings.catch_warnings():
            # Several adapters in one model, and copies of tied embeddings, are what is wanted here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`|Model has `tie_word_embeddings")
            for peft_config in wanted:
                inject_adapter_in_model(peft_config, model, adapter_name=name)
    except ValueError as error:
        raise ConfigError(f"lora.target_modules {config.target_modules}: {str(error).splitlines()[0]}") from error
    learn_adapter(model, name)


def learn_adapter(model: Any, name: str) -> None:
    """Let one adapter of a model learn and freeze everything else in it."""
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(parameter_name) and f".{name}." in f"{parameter_name}.")


def set_dropout(model: nn.Module, name: str, probability: float) -> None:
    """Give an adapter another dropout; adapters on experts' fused weights have none."""
    from peft.tuners.lora.layer import LoraLayer, ParamWrapper

    for layer in model.modules():
        if isinstance(layer, LoraLayer) and not isinstance(layer, ParamWrapper) and name in layer.lora_dropout:
            layer.lora_dropout[name] = nn.Dropout(probability) if probability else nn.Identity()


def is_adapter(name: str) -> bool:
    """Whether a parameter's name says that it belongs to an adapter: low-rank matrices, and modules kept whole."""
    return "lora_" in name or ".modules_to_save." in name


@contextmanager
def silenced(model: nn.Module) -> Iterator[None]:
    """Within it the adapters of a model have no effect; what learns is what learnt before."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    layers: list[Any] = [m for m in model.modules() if isinstance(m, BaseTunerLayer | AuxiliaryTrainingWrapper)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True  # enable_adapters() would also change what learns
    try:
        yield
    finally:
        for layer, disabled in zip(layers, before, strict=True):
            layer._disable_adapters = disabled


def merge_lora(model: Any, name: str | None = None) -> None:
    """Add an adapter to the weights it sits on, put what learnt whole in its place, and take all adapters out.

    The sum is made in float32 and then turned to the type of the weights.

    Args:
        model: the model.
        name: of the adapter; None means those that are at work.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    named: list[tuple[str, Any]] = list(model.named_modules())
    layers = [(path, module) for path, module in named if isinstance(module, BaseTunerLayer)]
    _untie(model)
    for _, layer in layers:
        base: Any = layer.get_base_layer()
        dtype = next(base.parameters()).dtype
        layer.float()  # type: ignore[attr-defined]  # a layer is a module, which peft's base class does not say
        layer.merge(adapter_names=None if name is None else [name])
        base.to(dtype)
    settled = {path: layer.get_base_layer() for path, layer in layers}
    for path, module in named:
        if isinstance(module, ModulesToSaveWrapper):
            whole: Any = module.modules_to_save
            own = name or module.active_adapters[0]
            settled[path] = whole[own] if own in whole else module.original_module  # noqa: SIM401 - no dict
    for path, module in settled.items():
        if not any(path.startswith(f"{outer}.") for outer in settled):  # experts wear one adapter over another
            parent, _, child = path.rpartition(".")
            setattr(model.get_submodule(parent), child, module)


def _untie(model: Any) -> None:
    """Make two of words and head that are one, where an adapter changes either: the other is to stay as it is."""
    if not hasattr(model, "get_output_embeddings"):
        return
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    if None in ends:
        return
    words, head = (_original(module) for module in ends)
    if words.weight is head.weight and [words, head] != ends:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = model.config.get_text_config().tie_word_embeddings = False


def _original(module: Any) -> Any:
    """What an adapter sits on, or the module itself."""
    base = module.get_base_layer() if hasattr(module, "get_base_layer") else module
    return getattr(base, "original_module", base)


def linear_names(model: Any) -> list[str]:
    """Last names of the linear layers, the head left out."""
    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head
    }
    return sorted(found)
