"""Every process holds the whole model and works on its own rows; gradients are averaged."""

from dataclasses import dataclass

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
    """DistributedDataParallel; every parameter that learns gets a gradient in every step, so none is searched for."""

    def prepare(self, model: VideoLM) -> nn.Module:
        """Copy the model to the device and wrap it."""
        return DistributedDataParallel(model.to(self.world.device), broadcast_buffers=False)

    def synchronise(self, model: nn.Module, on: bool) -> None:
        """Average gradients in the next backward pass, or keep them for later."""
        assert isinstance(model, DistributedDataParallel)
        model.require_backward_grad_sync = on
