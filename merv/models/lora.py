"""Low-rank adapters on a language model, through peft: added in place, so that the rest of the code sees one LLM."""

import warnings
from typing import Any

from torch import nn

from merv.errors import ConfigError
from merv.models.stage import LoraConfig


def add_lora(model: Any, config: LoraConfig, name: str = "default") -> None:
    """Put adapters into a transformers model; they learn, everything else in it is frozen.

    Args:
        model: the model; it may hold adapters of other names.
        config: their rank and places.
        name: what they are called.

    Raises:
        ConfigError: none of `target_modules` is there, or a module of `modules_to_save` is not.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    peft_config = PeftConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft divides by the rank
        lora_dropout=config.dropout,
        target_modules=config.target_modules or linear_names(model),
        modules_to_save=config.modules_to_save or None,
    )
    missing = sorted(set(config.modules_to_save) - {path.rpartition(".")[2] for path, _ in model.named_modules()})
    if missing:
        raise ConfigError(f"lora.modules_to_save names {', '.join(missing)}, which the model does not have")
    try:
        with warnings.catch_warnings():
            # Several adapters in one model, and copies of tied embeddings, are what is wanted here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`|Model has `tie_word_embeddings")
            inject_adapter_in_model(peft_config, model, adapter_name=name)
    except ValueError as error:
        raise ConfigError(f"lora.target_modules {config.target_modules}: {str(error).splitlines()[0]}") from error
    learn_adapter(model, name)


def learn_adapter(model: Any, name: str) -> None:
    """Let one adapter of a model learn and freeze everything else in it."""
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(parameter_name) and f".{name}." in parameter_name)


def is_adapter(name: str) -> bool:
    """Whether a parameter's name says that it belongs to an adapter: low-rank matrices, and modules kept whole."""
    return "lora_" in name or ".modules_to_save." in name


def merge_lora(model: Any) -> None:
    """Add the adapters to the weights they sit on and take them out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())


def linear_names(model: Any) -> list[str]:
    """Last names of the linear layers, the head left out."""
    head = model.get_output_embeddings()
    found = {
        name.rpartition(".")[2] for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head
    }
    return sorted(found)
