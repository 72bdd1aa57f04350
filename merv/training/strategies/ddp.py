"""Every process holds the whole model and works on its own rows; gradients are averaged."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from merv.models.base import VideoLM
from merv.training.strategies.base import Precision, Strategy, StrategyConfig
from merv.training.world import World


@StrategyConfig.register_subclass("ddp")
@dataclass
class DdpConfig(StrategyConfig):
    """torch's DistributedDataParallel."""

    def build(self, world: World, precision: Precision) -> "Ddp":
        """Make it."""
        return Ddp(world, precision)


class Ddp(Strategy):
    """DistributedDataParallel; parameters without a gradient are searched for only where a model may have some."""

    def prepare(self, model: VideoLM) -> nn.Module:
        """Copy the model to the device and wrap it."""
        self.settle(model)
        # Buffers are constants here.  torch 2.15 renamed the option that says so.
        renamed = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
        options: dict[str, Any] = {"forward_sync_buffers" if renamed else "broadcast_buffers": False}
        options["find_unused_parameters"] = model.some_rest
        return DistributedDataParallel(model.to(self.world.device), **options)

    def synchronise(self, model: nn.Module, on: bool) -> None:
        """Average gradients in the next backward pass, or keep them for later."""
        assert isinstance(model, DistributedDataParallel)
        model.require_backward_grad_sync = on
