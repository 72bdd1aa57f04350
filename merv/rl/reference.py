"""The model a run started from, which the policy is kept near: no more of it is copied than learns.

Adapters that begin without an effect are silenced instead; frozen parts are shared.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from torch import nn

from merv.models.base import VideoLM
from merv.models.lora import is_adapter, silenced
from merv.training.world import World


class Reference(nn.Module):
    """Copies of the parts that will change, and the model they make with those that are shared."""

    def __init__(self, model: VideoLM, world: World | None = None) -> None:
        """Copy what learns; `model` is as the run finds it.

        With a world this is a collective: the first process decides, as others may not have weights yet.
        """
        super().__init__()
        parts = dict(model.named_children())
        changing = _changing(parts) if world is None or world.rank == 0 else []
        if world is not None:
            changing = world.share(" ".join(changing)).split()
        shared = {name: part for name, part in parts.items() if name not in changing}
        kept = [*shared.values(), model.config, model.processor]
        twin = copy.deepcopy(model, {id(each): each for each in kept})  # what points into a copied part does so still
        copied = {name: part for name, part in twin.named_children() if name not in shared}
        self.copied = nn.ModuleDict(copied).requires_grad_(False).eval()
        for module in self.copied.modules():  # a checkpoint keeps neither: they are made from where the run started
            module._non_persistent_buffers_set.update(module._buffers)
        self._silent = [name for name, part in shared.items() if any(p.requires_grad for p in part.parameters())]
        self._twin = [twin]  # in a list, so that its parts do not count as this module's a second time

    @property
    def model(self) -> VideoLM:
        """The model, of copied and shared parts."""
        return self._twin[0]

    def blocks(self, known: Sequence[nn.Module]) -> list[nn.Module]:
        """Repeated layers of the copies; `known` are those of the model that learns."""
        shared = {id(block) for block in known}
        return [block for block in self.model.blocks() if id(block) not in shared]

    @contextmanager
    def speaking(self) -> Iterator[VideoLM]:
        """The model; within it adapters that learn have no effect when prompts are encoded."""
        with self.silence():
            yield self.model

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Within it adapters of shared parts have no effect; to be entered again once a role was given the word."""
        with ExitStack() as stack:
            for name in self._silent:
                stack.enter_context(silenced(self.model._modules[name]))  # type: ignore[arg-type]
            yield


def _changing(parts: Mapping[str, nn.Module]) -> list[str]:
    """Names of the parts whose start cannot be had back by silencing their adapters."""
    return [name for name, part in parts.items() if _changes(part)]


def _changes(part: nn.Module) -> bool:
    learning = [(name, parameter) for name, parameter in part.named_parameters() if parameter.requires_grad]
    return any(not is_adapter(name) or ("lora_B" in name and bool(p.any())) for name, p in learning)
