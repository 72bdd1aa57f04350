"""The config a run left in its folder: of `merv train`, or of `merv train-grpo`."""

from pathlib import Path

from merv.conf.text import read_mapping
from merv.runs.grpo_config import GrpoRunConfig
from merv.runs.pretrain_config import PretrainConfig


def config_class(path: Path) -> type[PretrainConfig]:
    """The class of the config in a file.

    Raises:
        ConfigError: the file cannot be read.
    """
    return GrpoRunConfig if "num_generations" in read_mapping(path) else PretrainConfig
