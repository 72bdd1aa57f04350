"""One training run from config to finished folder: `scripts/pretrain_video.py`, `merv train`."""

import logging
from collections.abc import Callable
from contextlib import ExitStack

from merv import runtime
from merv.conf import files
from merv.data.dataset import Source
from merv.errors import ConfigError, MervError
from merv.models.freeze import checkpoint_activations, compile_blocks
from merv.runs import assemble, plan
from merv.runs.folder import export_model, identity, write_lineage
from merv.runs.method import Method
from merv.runs.pretrain_config import PretrainConfig
from merv.training.flops import part_costs, step_flops
from merv.training.loop import Job, train
from merv.training.metrics import StepMetrics
from merv.training.optim import build_optimizer
from merv.training.signals import StopRequest
from merv.training.strategies import StrategyConfig
from merv.training.watchdog import Watchdog
from merv.training.world import World, join_world

logger = logging.getLogger(__name__)


def pretrain(config: PretrainConfig, method: Method | None = None) -> int:
    """Train one stage; gives the exit status.

    Args:
        config: the run's options.
        method: what is learnt from the rows; None means their answers.

    Raises:
        MervError: something the user can mend, in one line.
    """
    runtime.setup_logging()
    method = method or Method()
    StrategyConfig.get(config.stage_config.train_strategy)  # a typo should not cost a model's loading time
    if config.plan:
        plan.show(config)
        return 0
    with join_world(config.collective_timeout_s) as world, StopRequest() as stop, ExitStack() as closing:
        config.stage_config.accumulation_steps(world.size)
        source = _load_data(config, world)
        method.check(config, source)
        _fetch_weights(config, world)
        start = assemble.starting_model(config)
        method.begin(config, start.model, world)
        job = method.complete(config, _build_job(config, world, source, start, stop, closing, method), source)
        if world.rank == 0:  # only now: a command that is refused leaves a run that stands as it was
            files.save(config, config.run_dir / "config.yaml")
            write_lineage(config, source, world.size, start.parents)
        done = train(job) if job.first_step < job.num_steps else job.num_steps
        if done < job.num_steps:
            logger.warning("stopped at step %d of %d; the same command goes on from there", done, job.num_steps)
            return 0
        method.end(job.model)
        export_model(config, job.model, start.saved_parts, world, inherited=start.inherited)
        if world.rank == 0:
            job.tracker.close()
            if "jsonl" in config.trackers:  # the curve is drawn from its file
                method.draw(config.run_dir)
            logger.info("finished: %s", config.run_dir)
        world.barrier()
    return 0


def _load_data(config: PretrainConfig, world: World) -> Source:
    """Read the rows; what can be created is created by one process first."""
    _one_first(world, world.rank == 0, config.dataset.make)
    source = config.dataset.load(config.stage)
    if not len(source):
        refused = f"; {len(source.bad_rows)} were refused, such as {source.bad_rows[0]}" if source.bad_rows else ""
        raise ConfigError(f"dataset `{config.dataset.name}` has no usable rows for stage {config.stage}{refused}")
    return source


def _fetch_weights(config: PretrainConfig, world: World) -> None:
    """Bring published weights to this disk, one process of a machine before the others."""
    _one_first(world, runtime.local_rank() == 0, config.model.fetch)


def _one_first(world: World, mine: bool, work: Callable[[], object]) -> None:
    """Let some process do `work` before the others go on; where it fails it says why, and the others end silently."""
    error: MervError | None = None
    if mine:
        try:
            work()
        except MervError as found:
            error = found
    world.together(error)


def _build_job(
    config: PretrainConfig,
    world: World,
    source: Source,
    start: assemble.Start,
    stop: StopRequest,
    closing: ExitStack,
    method: Method,
) -> Job:
    """Everything the loop needs, at the place where an earlier attempt left off."""
    stage, model = config.stage_config, start.model
    sampler = assemble.build_sampler(config, source, model)
    num_steps = assemble.num_steps(stage, len(sampler))
    costs = part_costs(model.stations())
    precision = assemble.precision(config.model, world.device)
    model.computes_in(precision.compute)
    if config.feature_cache is not None:
        model.use_feature_cache(config.feature_cache, precision.compute)
    if config.model.compile_blocks:
        compile_blocks(model)
    if config.model.enable_gradient_checkpointing:
        checkpoint_activations(model)
    strategy = StrategyConfig.new(stage.train_strategy).build(world, precision)
    wrapped = strategy.prepare(model)
    optimizer = build_optimizer(wrapped.named_parameters(), stage)
    checkpointer = assemble.open_checkpoints(config, world)
    ledger = assemble.open_ledger(config, source)
    runtime.seed_everything(config.seed + world.rank)
    first_step = assemble.resume(config, checkpointer, wrapped, optimizer, sampler, ledger)
    reading = method.reading(config, model)
    loader = assemble.open_loader(config, world, source, reading, sampler, ledger, num_steps)
    tracker = assemble.open_trackers(config, first_step)
    closing.callback(checkpointer.finish)  # whatever ends the run, a checkpoint being written is not lost
    closing.callback(loader.close)
    closing.callback(tracker.close)
    return Job(
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
        visual_tokens=model.visual_tokens(),
        count_flops=lambda batch: step_flops(costs, model.station_tokens(batch)),
        row_loss_name=model.row_loss_name,
        first_step=first_step,
        save_every=config.save_checkpoint_after,
        num_workers=config.num_workers,
        identity=identity(config),
    )
