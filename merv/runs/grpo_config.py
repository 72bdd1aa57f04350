"""Options of a GRPO run: `scripts/train_grpo.py --help`."""

from dataclasses import dataclass
from typing import ClassVar

import merv.rl.builtin_rewards  # noqa: F401 - registers the rewards and the dataset `task`
from merv.rl.config import GrpoConfig
from merv.runs.pretrain_config import PretrainConfig


@dataclass
class GrpoRunConfig(GrpoConfig, PretrainConfig):
    """One stage of one model on the prompts of one dataset, from rewards."""

    method: ClassVar[str] = "grpo"

    def __post_init__(self) -> None:
        """Fill in names and check numbers."""
        if not self.run_id:
            self.run_id = f"{self.model.model_id or self.model.type_name}-{self.stage}-grpo"
        PretrainConfig.__post_init__(self)
        GrpoConfig.__post_init__(self)
