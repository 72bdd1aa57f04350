"""The family of rewards that have a name: `--reward accuracy`; `merv list rewards` shows them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from draccus import ChoiceRegistry

from merv.data.dataset import Source
from merv.registry import Registry


@dataclass
class RewardConfig(Registry, ChoiceRegistry, kind="reward"):
    """Options every reward has: none."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function that scores answers to the samples of `source`, see `merv.rl.rewards`.

        Raises:
            ConfigError: it cannot score answers to these.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")
