"""One process, one device."""

from dataclasses import dataclass

from torch import nn

from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.training.strategies.base import Precision, Strategy, StrategyConfig
from merv.training.world import World


@StrategyConfig.register_subclass("single")
@dataclass
class SingleConfig(StrategyConfig):
    """One process; refuses more."""

    def build(self, world: World, precision: Precision) -> "Single":
        """Make it."""
        if world.size != 1:
            raise ConfigError(
                f"strategy `single` with {world.size} processes; choose ddp or fsdp-full-shard, or start one process"
            )
        return Single(world, precision)


class Single(Strategy):
    """The model as it is."""

    def prepare(self, model: VideoLM) -> nn.Module:
        """Move it to the device."""
        self.settle(model)
        return model.to(self.world.device)
