"""Parameters, gradients and optimiser states in shards over the processes: FSDP2, in the variants people name.

Blocks are sharded one by one, what remains (embeddings, projectors, fusion, head) with the whole model.
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)

from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.training.strategies.base import Precision, Strategy, StrategyConfig, T
from merv.training.strategies.late_weights import LateWeights
from merv.training.world import World


@StrategyConfig.register_subclass("fsdp-full-shard")
@dataclass
class FsdpConfig(StrategyConfig):
    """Parameters are gathered for a block's forward pass and again for its backward pass (like ZeRO-3)."""

    first_reads: ClassVar[bool] = True

    reshard_after_forward: bool = True
    """Give gathered parameters back after the forward pass; False keeps them until the backward pass."""
    offload: bool = False
    """Keep shards and optimiser states in CPU memory."""
    replicate_across_nodes: bool = False
    """Shard within a node only; nodes hold copies."""

    def build(self, world: World, precision: Precision) -> "Fsdp":
        """Make it."""
        return Fsdp(world, precision, self)


FsdpConfig.preset(
    "fsdp-shard-grad-op", reshard_after_forward=False
).__doc__ = "Parameters stay gathered between forward and backward pass (like ZeRO-2): faster, more memory."
FsdpConfig.preset(
    "fsdp-full-shard-offload", offload=True
).__doc__ = "As fsdp-full-shard, with shards and optimiser states in CPU memory: for models that fit no other way."
FsdpConfig.preset(
    "hsdp", replicate_across_nodes=True
).__doc__ = "As fsdp-full-shard within a node; nodes hold copies and average gradients (hybrid sharding)."


class Fsdp(Strategy):
    """torch's fully_shard."""

    def __init__(self, world: World, precision: Precision, config: FsdpConfig) -> None:
        """Lay out the processes."""
        super().__init__(world, precision)
        self.config = config
        self.mesh = self._mesh()

    def prepare(self, model: VideoLM) -> nn.Module:
        """Shard the blocks, then the rest; parts that stay whole are left out.

        Where only the first process has weights, all get their shards from it.
        """
        self.settle(model)
        late = LateWeights(model, self.world)
        whole = {p for name in model.whole_parts() for p in model.parts()[name].parameters()}
        options: dict[str, Any] = {
            "mesh": self.mesh,
            "reshard_after_forward": self.config.reshard_after_forward,
            "mp_policy": MixedPrecisionPolicy(param_dtype=self.precision.compute, reduce_dtype=self.precision.reduce),
        }
        if self.config.offload:
            options["offload_policy"] = CPUOffloadPolicy(pin_memory=self.world.device.type != "cpu")
        elif not late.wanted:
            model = model.to(self.world.device)
        for block in model.blocks():
            if not any(p in whole for p in block.parameters()):
                fully_shard(block, **options)
        fully_shard(model, ignored_params=whole or None, **options)
        if self.config.offload:
            for kept in (*model.buffers(), *whole):  # only sharded parameters are offloaded
                kept.data = kept.data.to(self.world.device)
        if late.wanted:
            late.hand_out(model, torch.device("cpu") if self.config.offload else self.world.device)
        return model

    def synchronise(self, model: nn.Module, on: bool) -> None:
        """Sum gradients over processes in the next backward pass, or keep them for later."""
        assert isinstance(model, FSDPModule)
        model.set_requires_gradient_sync(on)

    def aside(self, model: nn.Module, work: Callable[[VideoLM], T]) -> T:
        """What `work` makes of the model, whose parameters all are gathered until it is done."""
        sharded: Any = model
        if not hasattr(sharded, "gathered"):  # its hooks have to know that the whole model runs, not a block by itself
            sharded.gathered = partial(_gathered, sharded)
            register_fsdp_forward_method(sharded, "gathered")
        try:
            with torch.no_grad(), self.computing():
                return sharded.gathered(work)
        finally:
            sharded.set_reshard_after_forward(self.config.reshard_after_forward)
            for module in _sharded(model):
                module.reshard()

    def _mesh(self) -> DeviceMesh:
        kind, size = self.world.device.type, self.world.size
        if not self.config.replicate_across_nodes:
            return init_device_mesh(kind, (size,), mesh_dim_names=("shard",))
        per_node = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        if size % per_node:
            raise ConfigError(f"hsdp: {size} processes do not divide into nodes of {per_node}; start as many on each")
        return init_device_mesh(kind, (size // per_node, per_node), mesh_dim_names=("replicate", "shard"))


def _gathered(model: FSDPModule, work: Callable[[Any], T]) -> T:
    """Gather everything, once, and keep it from being given back after each block's forward pass."""
    model.set_reshard_after_forward(False)
    for module in _sharded(model):
        module.unshard()
    return work(model)


def _sharded(model: Any) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]
