"""What a stage changes in a model: which parts learn, adapters, and recomputing of activations."""

from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointImpl, checkpoint_wrapper

from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.models.lora import add_lora
from merv.models.stage import TRAINED_PARTS, StageConfig, StageName


def set_stage(model: VideoLM, name: StageName, stage: StageConfig) -> list[str]:
    """Let the stage's parts learn and freeze the others; gives the names of those that learn.

    Frozen parts are put into evaluation mode; the others into training mode.

    Raises:
        ConfigError: adapters are asked for in a stage that does not train the LLM.
    """
    learning = [part for part in model.parts() if part in TRAINED_PARTS[name]]
    if stage.lora.rank and "llm" not in learning:
        raise ConfigError(f"lora.rank is {stage.lora.rank}, but stage {name} does not train the llm; set it to 0")
    for part, module in model.parts().items():
        module.requires_grad_(part in learning)
        module.train(part in learning)
    if stage.lora.rank:
        add_lora(model.parts()["llm"].model, stage.lora)
    return learning


def checkpoint_activations(model: VideoLM) -> None:
    """Recompute each learning or passed-through block in the backward pass instead of keeping its activations."""
    wanted = {id(block) for block in model.blocks()}
    for parent in list(model.modules()):
        for child_name, child in list(parent.named_children()):
            if id(child) in wanted:
                wrapped = checkpoint_wrapper(child, checkpoint_impl=CheckpointImpl.NO_REENTRANT)
                _replace(parent, child_name, wrapped)


def _replace(parent: nn.Module, name: str, child: nn.Module) -> None:
    if isinstance(parent, nn.ModuleList):
        parent[int(name)] = child
    else:
        setattr(parent, name, child)
