"""Options of a training run: `scripts/pretrain_video.py --help`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import merv.conf.models
import merv.conf.roles
import merv.conf.vlm  # noqa: F401 - these register named models
from merv.data.datasets import DatasetConfig
from merv.data.ledger import Policy
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.stage import StageConfig, StageName
from merv.training.trackers import check_names


@dataclass
class PretrainConfig:
    """One stage of one model on one dataset."""

    method: ClassVar[str] = "train"
    """What a run does with its rows, for those who resume it."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig.new("merv-base"))
    """The model and its stages."""
    dataset: DatasetConfig = field(default_factory=lambda: DatasetConfig.new("videollava"))
    """The data."""
    stage: StageName = "finetune"
    """align | full-align | finetune | full-finetune; what learns in each is in merv/models/stage.py."""
    run_id: str = ""
    """Name of the run and of its folder; empty means <model>-<stage>."""
    run_root_dir: Path = Path("runs")
    """Folder of all runs."""
    seed: int = 7
    """Decides new weights and the order of the data."""
    pretrained_checkpoint: Path | None = None
    """Run folder (or its model.safetensors) to start from, for a role model also a folder of roles or a published
    name; None means the align run of the same model_id, if any."""
    resume: Literal["auto", "never"] = "auto"
    """auto goes on from the run's newest checkpoint; never refuses a folder that has one."""
    save_checkpoint_after: int = 512
    """Optimiser steps between checkpoints; the last step is always saved."""
    keep_last: int = 2
    """Checkpoints to keep."""
    async_checkpoints: bool = True
    """Write checkpoints in the background."""
    feature_cache: Path | None = None
    """Folder to keep frozen encoders' features in: from the second epoch on nothing is decoded; None keeps none."""
    sampler: Literal["split-modality", "length-grouped", "grouped"] = "split-modality"
    """How rows share a batch: by modality as LLaVA does, by length, or by kind, such as the task of a role."""
    num_workers: int = 2
    """Processes that decode, for each training process; 0 decodes in the training process."""
    prefetch_batches: int = 4
    """Micro-batches in work ahead of the training."""
    decode_deadline_s: float = 60.0
    """Seconds one sample may take; a worker that takes longer is killed and the sample recorded as bad."""
    bad_samples: Policy = "skip"
    """skip takes the next row and records the bad one; raise stops."""
    max_bad_fraction: float = 0.01
    """Share of bad rows, 0..1, beyond which the run stops."""
    trackers: list[str] = field(default_factory=lambda: ["jsonl", "tensorboard"])
    """Where metrics go: jsonl, tensorboard, wandb."""
    wandb_project: str = "merv"
    """Project of the wandb tracker."""
    wandb_entity: str | None = None
    """Team of the wandb tracker; None means the account's default."""
    watchdog_s: float = 300.0
    """Seconds without progress after which the late rank is named in the log."""
    collective_timeout_s: float = 1800.0
    """Seconds after which processes give up waiting for one another."""
    plan: bool = False
    """Print what would run, and end."""
    plugins: list[str] = field(default_factory=list)
    """Packages to import first, so that what they register can be chosen."""

    def __post_init__(self) -> None:
        """Fill in names and check numbers."""
        if not self.run_id:
            self.run_id = f"{self.model.model_id or self.model.type_name}-{self.stage}"
        if "/" in self.run_id or self.run_id in (".", ".."):
            raise ConfigError(f"run_id is `{self.run_id}`; it names a folder in run_root_dir, without a slash")
        if not self.model.model_id:
            self.model.model_id = self.model.type_name
        for name in ("save_checkpoint_after", "keep_last", "prefetch_batches"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.num_workers < 0:
            raise ConfigError(f"num_workers is {self.num_workers}; give 0 to decode in the training process, or more")
        for name in ("decode_deadline_s", "watchdog_s", "collective_timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name):g}; it must be above 0 seconds")
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction is {self.max_bad_fraction:g}; it is a share of the rows, 0..1")
        check_names(self.trackers)

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return self.run_root_dir / self.run_id

    @property
    def stage_config(self) -> StageConfig:
        """The options of the chosen stage."""
        return self.model.stage(self.stage)
