"""How a model is spread over processes: alone, DDP, or FSDP2 in its variants.  A strategy names no model."""

from merv.training.strategies import ddp, fsdp, single
from merv.training.strategies.base import Strategy, StrategyConfig

__all__ = ["Strategy", "StrategyConfig", "ddp", "fsdp", "single"]
