"""One training run from config to finished folder: `scripts/pretrain_video.py`, `merv train`."""

import logging
from contextlib import ExitStack

import torch

from merv import runtime
from merv.conf import files
from merv.data.dataset import PreparedDataset, Source
from merv.data.ledger import BadSampleLedger
from merv.data.loader import build_loader
from merv.data.sampling import BatchSampler, LengthGroupedSampler, SplitModalitySampler, modality_lengths
from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.models.freeze import checkpoint_activations, set_stage
from merv.runs import plan
from merv.runs.folder import check_identity, export_model, find_parent, identity, write_lineage
from merv.runs.pretrain_config import PretrainConfig
from merv.training.checkpoint import Checkpointer, read_trainer_state
from merv.training.curves import plot_loss
from merv.training.flops import part_costs, step_flops
from merv.training.loop import Job, train
from merv.training.metrics import StepMetrics
from merv.training.optim import build_optimizer
from merv.training.signals import StopRequest
from merv.training.strategies import StrategyConfig
from merv.training.strategies.base import Precision
from merv.training.trackers import build_trackers
from merv.training.watchdog import Watchdog
from merv.training.world import World, join_world

logger = logging.getLogger(__name__)


def pretrain(config: PretrainConfig) -> int:
    """Train one stage; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    runtime.setup_logging()
    StrategyConfig.get(config.stage_config.train_strategy)  # a typo should not cost a model's loading time
    if config.plan:
        plan.show(config)
        return 0
    with join_world(config.collective_timeout_s) as world, StopRequest() as stop, ExitStack() as closing:
        config.stage_config.accumulation_steps(world.size)
        source = _load_data(config, world)
        job, parents, parts = _build_job(config, world, source, stop, closing)
        if world.rank == 0:  # only now: a command that is refused leaves a run that stands as it was
            files.save(config, config.run_dir / "config.yaml")
            write_lineage(config, source, world.size, parents)
        done = train(job) if job.first_step < job.num_steps else job.num_steps
        if done < job.num_steps:
            logger.warning("stopped at step %d of %d; the same command goes on from there", done, job.num_steps)
            return 0
        export_model(config, job.model, parts, world)
        if world.rank == 0:
            job.tracker.close()
            if "jsonl" in config.trackers:  # the curve is drawn from its file
                plot_loss(config.run_dir / "metrics.jsonl", config.run_dir / "loss.png")
            logger.info("finished: %s", config.run_dir)
        world.barrier()
    return 0


def _load_data(config: PretrainConfig, world: World) -> Source:
    """Read the rows; what can be created is created by one process first."""
    if world.rank == 0:
        config.dataset.make()
    world.barrier()
    source = config.dataset.load(config.stage)
    if not len(source):
        refused = f"; {len(source.bad_rows)} were refused, such as {source.bad_rows[0]}" if source.bad_rows else ""
        raise ConfigError(f"dataset `{config.dataset.name}` has no usable rows for stage {config.stage}{refused}")
    return source


def _build_job(
    config: PretrainConfig, world: World, source: Source, stop: StopRequest, closing: ExitStack
) -> tuple[Job, list[str], list[str]]:
    """Everything the loop needs; also the runs the weights came from and the parts to save in the end."""
    stage = config.stage_config
    runtime.seed_everything(config.seed)
    model = config.model.build(seed=config.seed)
    parents, inherited = find_parent(config, model)
    learning = set_stage(model, config.stage, stage)
    parts = sorted({*learning, *inherited, *model.unpublished_parts()})
    dataset = PreparedDataset(source, model.processor.prepare)
    sampler = build_sampler(config, source, model)
    epochs, num_steps = _length(stage.epochs, stage.max_steps, len(sampler))
    if config.model.enable_gradient_checkpointing:
        checkpoint_activations(model)
    costs = part_costs(model.stations())
    collate, visual_tokens = model.processor.collate, model.visual_tokens()
    precision = _precision(config, world.device)
    strategy = StrategyConfig.get(stage.train_strategy)().build(world, precision)
    wrapped = strategy.prepare(model)
    optimizer = build_optimizer(wrapped.named_parameters(), stage)
    checkpointer = Checkpointer(
        config.run_dir / "checkpoints", world, keep_last=config.keep_last, asynchronous=config.async_checkpoints
    )
    ledger = BadSampleLedger(
        config.run_dir / "bad_samples.jsonl", policy=config.bad_samples, max_bad_fraction=config.max_bad_fraction
    )
    if world.rank == 0:
        ledger.unreadable(source.bad_rows, len(source))
    runtime.seed_everything(config.seed + world.rank)
    first_step = _resume(config, checkpointer, wrapped, optimizer, sampler, ledger)
    loader = build_loader(
        dataset,
        collate,
        sampler.upcoming(world.rank, world.size, stage.per_device_batch_size, epochs=epochs),
        num_workers=config.num_workers,
        prefetch_batches=config.prefetch_batches,
        decode_deadline_s=config.decode_deadline_s,
        pin_memory=world.device.type != "cpu",
        ledger=ledger,
    )
    tracker = build_trackers(
        config.trackers,
        config.run_dir,
        run_id=config.run_id,
        project=config.wandb_project,
        entity=config.wandb_entity,
        resume_step=first_step,
    )
    closing.callback(checkpointer.finish)  # whatever ends the run, a checkpoint being written is not lost
    closing.callback(loader.close)
    closing.callback(tracker.close)
    job = Job(
        model=wrapped,
        strategy=strategy,
        optimizer=optimizer,
        stage=stage,
        batches=loader,
        sampler=sampler,
        ledger=ledger,
        checkpointer=checkpointer,
        tracker=tracker,
        metrics=StepMetrics(world.device, dtype=precision.compute, gather=world.gather),
        watchdog=Watchdog(world.store, rank=world.rank, world_size=world.size, timeout_s=config.watchdog_s),
        stop=stop,
        run_dir=config.run_dir,
        num_steps=num_steps,
        visual_tokens=visual_tokens,
        count_flops=lambda batch: step_flops(costs, model.station_tokens(batch)),
        first_step=first_step,
        save_every=config.save_checkpoint_after,
        num_workers=config.num_workers,
        identity=identity(config),
    )
    return job, parents, parts


def build_sampler(config: PretrainConfig, source: Source, model: VideoLM) -> BatchSampler:
    """The plan of which rows share a batch."""
    lengths = modality_lengths(source, model.processor.length)
    size = config.stage_config.global_batch_size
    if config.sampler == "split-modality":
        return SplitModalitySampler(lengths, size, seed=config.seed)
    return LengthGroupedSampler([length for _, length in lengths], size, seed=config.seed)


def _length(epochs: int, max_steps: int | None, steps_per_epoch: int) -> tuple[int, int]:
    """Epochs to plan and steps to train."""
    num_steps = epochs * steps_per_epoch if max_steps is None else max_steps
    return -(-num_steps // steps_per_epoch), num_steps


def _precision(config: PretrainConfig, device: torch.device) -> Precision:
    """bfloat16 where it is wanted and the device computes in it."""
    wanted = config.model.enable_mixed_precision_training and device.type != "cpu"
    if not wanted or (device.type == "cuda" and not torch.cuda.is_bf16_supported()):
        return Precision()
    return Precision(torch.bfloat16, torch.float32 if config.model.reduce_in_full_precision else torch.bfloat16)


def _resume(
    config: PretrainConfig,
    checkpointer: Checkpointer,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    sampler: BatchSampler,
    ledger: BadSampleLedger,
) -> int:
    """Go to the newest checkpoint of the run, if there is one; gives the step to do next."""
    path = checkpointer.latest()
    if path is None:
        return 0
    if config.resume == "never":
        raise ConfigError(f"{config.run_dir} has checkpoints and --resume is never; choose another --run_id or resume")
    check_identity(config, read_trainer_state(path), path)
    state = checkpointer.load(path, model, optimizer)
    sampler.load_state_dict(state["sampler"])
    ledger.load_state_dict(state["ledger"])
    logger.info("going on from %s", path)
    return int(state["step"])
