"""The pieces of a training run, each made from its options: `merv.runs.pretrain` puts them together."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from merv import runtime
from merv.data.dataset import PreparedDataset, Source
from merv.data.group_sampling import GroupedSampler
from merv.data.ledger import BadSampleLedger
from merv.data.loader import Loader, build_loader
from merv.data.sampling import BatchSampler, LengthGroupedSampler, SplitModalitySampler
from merv.data.survey import survey
from merv.errors import ConfigError
from merv.models.base import ModelConfig, VideoLM
from merv.models.freeze import set_stage
from merv.models.stage import StageConfig
from merv.runs.folder import check_identity, find_parent
from merv.runs.method import Reading
from merv.runs.pretrain_config import PretrainConfig
from merv.training.checkpoint import Checkpointer, latest_checkpoint, read_trainer_state
from merv.training.strategies.base import Precision, StrategyConfig
from merv.training.trackers import MultiTracker, build_trackers
from merv.training.world import World

logger = logging.getLogger(__name__)


@dataclass
class Start:
    """The model a stage begins with."""

    model: VideoLM
    parents: list[str]
    """Run folders its weights came from."""
    inherited: list[str]
    """Parts whose weights came from there."""
    saved_parts: list[str]
    """Parts the finished run's file has to hold: trained now, trained before, or to be had nowhere else."""


def starting_model(config: PretrainConfig) -> Start:
    """Build the model, load what earlier stages trained, and let this stage's parts learn.

    Raises:
        MervError: a part is unknown, or weights are of another model.
    """
    runtime.seed_everything(config.seed)
    first_reads = StrategyConfig.get(config.stage_config.train_strategy).first_reads
    model = config.model.build_late(seed=config.seed) if first_reads and runtime.rank() else None
    model = model or config.model.build(seed=config.seed)
    began = _began_from(config)
    if began:
        config = replace(config, pretrained_checkpoint=_found_again(Path(began[0]), config))
    parents, inherited = ([], []) if began == [] else find_parent(config, model)
    learning = set_stage(model, config.stage, config.stage_config)
    model.enter(config.stage)
    return Start(model, parents, inherited, sorted({*learning, *inherited, *model.unpublished_parts()}))


def _began_from(config: PretrainConfig) -> list[str] | None:
    """Run folders the weights of a run to resume came from, which newer ones do not replace; None for a new run."""
    file = config.run_dir / "lineage.json"
    if config.pretrained_checkpoint is not None or latest_checkpoint(config.run_dir / "checkpoints") is None:
        return None
    try:
        parents: list[str] = json.loads(file.read_text(encoding="utf-8"))["parents"]
    except (OSError, ValueError, KeyError):  # the run was killed before it wrote, or while it did
        return None
    return parents


def _found_again(parent: Path, config: PretrainConfig) -> Path:
    """A run's folder, which may have moved together with the one that began from it."""
    moved = config.run_root_dir / parent.name
    return moved if moved.is_dir() and not parent.exists() else parent


def build_sampler(config: PretrainConfig, source: Source, model: VideoLM) -> BatchSampler:
    """The plan of which rows share a batch."""
    rows = survey(source, model.processor.length)
    model.processor.expect(rows.media_kinds)
    size = config.stage_config.global_batch_size
    if config.sampler == "split-modality":
        return SplitModalitySampler(rows, size, seed=config.seed)
    if config.sampler == "grouped":
        return GroupedSampler(rows.kinds, size, seed=config.seed, lengths=rows.lengths)
    return LengthGroupedSampler(rows.lengths, size, seed=config.seed)


def num_steps(stage: StageConfig, steps_per_epoch: int) -> int:
    """Optimiser steps of the stage."""
    return stage.epochs * steps_per_epoch if stage.max_steps is None else stage.max_steps


def precision(config: ModelConfig, device: torch.device) -> Precision:
    """bfloat16 where it is wanted and the device computes in it."""
    wanted = config.enable_mixed_precision_training and device.type != "cpu"
    if wanted and not runtime.computes_in_bfloat16(device):
        logger.warning("this device does not compute in bfloat16; computing in float32")
        wanted = False
    if not wanted:
        return Precision()
    return Precision(torch.bfloat16, torch.float32 if config.reduce_in_full_precision else torch.bfloat16)


def open_checkpoints(config: PretrainConfig, world: World) -> Checkpointer:
    """The run's checkpoints."""
    folder = config.run_dir / "checkpoints"
    return Checkpointer(folder, world, keep_last=config.keep_last, asynchronous=config.async_checkpoints)


def open_ledger(config: PretrainConfig, source: Source) -> BadSampleLedger:
    """The run's account of bad rows, those the reader refused already in it."""
    path = config.run_dir / "bad_samples.jsonl"
    ledger = BadSampleLedger(path, policy=config.bad_samples, max_bad_fraction=config.max_bad_fraction)
    if runtime.is_main():
        ledger.unreadable(source.bad_rows, len(source))
    return ledger


def open_loader(
    config: PretrainConfig,
    world: World,
    source: Source,
    reading: Reading,
    sampler: BatchSampler,
    ledger: BadSampleLedger,
    steps: int,
) -> Loader:
    """This process's micro-batches from the sampler's place to the end of the run."""
    epochs = -(-steps // len(sampler))
    per_device = config.stage_config.per_device_batch_size
    return build_loader(
        PreparedDataset(source, reading.prepare),
        reading.collate,
        sampler.upcoming(world.rank, world.size, per_device, epochs=epochs),
        num_workers=config.num_workers,
        prefetch_batches=config.prefetch_batches,
        decode_deadline_s=config.decode_deadline_s,
        pin_memory=world.device.type != "cpu",
        ledger=ledger,
    )


def open_trackers(config: PretrainConfig, first_step: int) -> MultiTracker:
    """Where metrics go; what an earlier attempt wrote beyond `first_step` is dropped."""
    return build_trackers(
        config.trackers,
        config.run_dir,
        run_id=config.run_id,
        project=config.wandb_project,
        entity=config.wandb_entity,
        resume_step=first_step,
    )


def resume(
    config: PretrainConfig,
    checkpointer: Checkpointer,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    sampler: BatchSampler,
    ledger: BadSampleLedger,
) -> int:
    """Go to the newest checkpoint of the run, if there is one; gives the step to do next.

    Raises:
        ConfigError: there is one and `resume` is never.
        CheckpointError: it is of another model.
    """
    path = checkpointer.latest()
    if path is None:
        return 0
    if config.resume == "never":
        raise ConfigError(f"{config.run_dir} has checkpoints and --resume is never; choose another --run_id or resume")
    check_identity(config, read_trainer_state(path), path)
    state = checkpointer.load(path, model, optimizer)
    sampler.load_state_dict(state["sampler"])
    if runtime.is_main():  # the counts are those of all processes together
        ledger.load_state_dict(state["ledger"])
    logger.info("going on from %s", path)
    return int(state["step"])
