"""Low-rank adapters on a language model, through peft: added in place, so that the rest of the code sees one LLM."""

from typing import Any

from torch import nn

from merv.errors import ConfigError
from merv.models.stage import LoraConfig


def add_lora(model: Any, config: LoraConfig) -> None:
    """Put adapters into a transformers model; they learn, everything else in it is frozen.

    Raises:
        ConfigError: none of `target_modules` is there.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    peft_config = PeftConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft divides by the rank
        lora_dropout=config.dropout,
        target_modules=config.target_modules or linear_names(model),
    )
    try:
        inject_adapter_in_model(peft_config, model)
    except ValueError as error:
        raise ConfigError(f"lora.target_modules {config.target_modules}: {str(error).splitlines()[0]}") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


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
