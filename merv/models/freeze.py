"""What a stage changes in a model: which parts learn, adapters, and recomputing of activations."""

from collections.abc import Collection

import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointImpl, checkpoint_wrapper

from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.models.stage import StageConfig, StageName


def set_stage(model: VideoLM, name: StageName, stage: StageConfig) -> list[str]:
    """Let the stage's parts learn and freeze the others; gives the names of those that learn.

    Frozen parts are put into evaluation mode; the others into training mode.

    Raises:
        ConfigError: adapters are asked for in a stage that does not train the LLM.
    """
    learning = model.learning_parts(name)
    if stage.lora.rank and not set(model.adapted_parts).intersection(learning):
        wanted = " nor ".join(model.adapted_parts)
        raise ConfigError(f"lora.rank is {stage.lora.rank}, but stage {name} does not train the {wanted}; set it to 0")
    for part, module in model.parts().items():
        module.requires_grad_(part in learning)
        module.train(part in learning)
    model.freeze_within()
    if stage.lora.rank:
        model.add_adapters(stage.lora)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.float()  # an optimiser's small steps are lost in bfloat16
    return learning


def checkpoint_activations(model: VideoLM) -> None:
    """Recompute each block a gradient passes through in the backward pass instead of keeping its activations."""
    wanted, passes = {id(block) for block in model.blocks()}, False
    for part in model.parts().values():  # in the order data flows
        passes = passes or any(parameter.requires_grad for parameter in part.parameters())
        if passes:
            recompute(part, wanted)


def recompute(part: nn.Module, wanted: Collection[int]) -> None:
    """Wrap the modules below `part` whose `id` is wanted, so that their activations are made again when needed."""
    for parent in list(part.modules()):
        for child_name, child in list(parent.named_children()):
            if id(child) in wanted:
                _replace(parent, child_name, checkpoint_wrapper(child, checkpoint_impl=CheckpointImpl.NO_REENTRANT))


def compile_blocks(model: VideoLM, backend: str = "inductor") -> None:
    """Compile every repeated block by itself, in place: blocks of one kind share the work of compiling."""
    for block in model.blocks():
        block.compile(backend=backend)


def cast_frozen(model: VideoLM, dtype: torch.dtype) -> None:
    """Keep parameters that do not learn in the type they are computed in: half the memory, and nothing to convert."""
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def _replace(parent: nn.Module, name: str, child: nn.Module) -> None:
    if isinstance(parent, nn.ModuleList):
        parent[int(name)] = child
    else:
        setattr(parent, name, child)
