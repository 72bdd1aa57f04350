"""THE loop: every family, every stage and every strategy trains through `train`."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from merv.data.ledger import BadSampleLedger
from merv.data.sample import Batch
from merv.data.sampling import BatchSampler
from merv.errors import RunStopped
from merv.models.stage import StageConfig
from merv.training.checkpoint import Checkpointer
from merv.training.looks import Looks
from merv.training.metrics import InputBoundNotice, StepMetrics
from merv.training.optim import learning_rate, set_learning_rate
from merv.training.progress import Progress
from merv.training.signals import StopRequest
from merv.training.strategies.base import Strategy
from merv.training.trackers import Tracker
from merv.training.watchdog import Watchdog

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """Everything one training needs, put together by merv.runs.pretrain."""

    model: nn.Module
    """The model as `strategy.prepare` gave it."""
    strategy: Strategy
    optimizer: torch.optim.Optimizer
    stage: StageConfig
    batches: Iterator[Batch]
    """This process's micro-batches, from the sampler's place on."""
    sampler: BatchSampler
    ledger: BadSampleLedger
    checkpointer: Checkpointer
    tracker: Tracker
    metrics: StepMetrics
    watchdog: Watchdog
    stop: StopRequest
    run_dir: Path
    num_steps: int
    visual_tokens: int
    """Visual tokens of a row with frames."""
    count_flops: Callable[[Batch], float] = lambda _: 0.0
    """Model FLOPs of a micro-batch, forward and backward."""
    roll_out: Callable[[int, list[Batch]], list[Batch]] | None = None
    """Makes of a step's number and micro-batches those to learn from, with the model of that moment; None learns from
    what the loader brings."""
    row_loss_name: str = "head_loss"
    """What metrics call the part of the loss that is a mean over rows."""
    first_step: int = 0
    save_every: int = 512
    num_workers: int = 2
    identity: dict[str, Any] = field(default_factory=dict)
    """What a checkpoint must agree on before it is resumed."""

    def trainer_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside tensors and random generators.  A collective: bad samples are summed up."""
        counts = self.ledger.state_dict()
        totals = self.strategy.world.sum(*counts.values())
        return {
            "sampler": self.sampler.state_dict(),
            "ledger": dict(zip(counts, map(int, totals), strict=True)),
            "num_steps": self.num_steps,
            "identity": self.identity,
        }


def train(job: Job) -> int:
    """Train from `first_step` to `num_steps`, or until asked to stop; gives the number of steps done.

    Raises:
        RunStopped: the loss is not finite, too many samples are bad, or a checkpoint cannot be written.
    """
    accumulation = job.stage.accumulation_steps(job.strategy.world.size)
    notice = InputBoundNotice(job.num_workers)
    step = saved = job.first_step
    job.metrics.restart()
    with job.watchdog, Progress(job.num_steps, start=job.first_step) as progress:
        while step < job.num_steps:
            job.watchdog.beat(step, "data")
            with job.metrics.waiting():
                micro_batches = list(islice(job.batches, accumulation))
            if job.roll_out is not None:
                job.watchdog.beat(step, "rollouts")
                micro_batches = job.roll_out(step, micro_batches)
            row, stopping = train_step(job, step, micro_batches)
            step += 1
            job.sampler.advance()
            job.tracker.log(step, row)
            progress.update(step, row)
            notice.observe(row)
            if stopping or step == job.num_steps or step % job.save_every == 0:
                job.watchdog.beat(step, "checkpoint")
                job.checkpointer.save(step, job.model, job.optimizer, job.trainer_state())
                saved = step
                job.metrics.restart()
            job.checkpointer.poll()
            if stopping:
                break
    assert saved == step, "the last step is always saved"
    job.checkpointer.finish()
    return step


def train_step(job: Job, step: int, micro_batches: list[Batch]) -> tuple[dict[str, float], bool]:
    """One optimiser step: gradients of the mean loss over all target tokens of the step, wherever they are.

    Gives the step's metrics, and whether any process was asked to stop.
    """
    strategy, world = job.strategy, job.strategy.world
    job.watchdog.beat(step, "forward")  # who waits in the sum below has its data: the late process is still at "data"
    num_rows = sum(batch.num_target_rows() for batch in micro_batches)
    step_tokens, step_rows = world.total(sum(batch.num_target_tokens() for batch in micro_batches), num_rows)
    own_loss, own_row_loss = torch.zeros(2, device=world.device, dtype=torch.float64)
    looks = Looks(micro_batches)
    for number, batch in enumerate(micro_batches):
        strategy.synchronise(job.model, number == len(micro_batches) - 1)
        job.watchdog.beat(step, "forward")
        output = strategy.forward(job.model, batch)
        job.watchdog.beat(step, "backward")
        strategy.backward(output, step_tokens, step_rows)
        own_loss += output.loss_sum.detach()
        if output.row_loss_sum is not None:
            own_row_loss += output.row_loss_sum.detach()
        looks.add(output.logged)
    job.watchdog.beat(step, "optimiser")
    norm = strategy.clip(job.model.parameters(), job.stage.max_grad_norm)
    sums = world.total(own_loss, own_row_loss, job.stop.requested, *looks.sums)
    # The one place where the host waits for the device: all it needs to know of the step is read at once.
    wanted = [*sums, step_tokens, step_rows, norm.to(sums)]
    loss_sum, row_loss_sum, stopping, *looked, tokens, rows, grad_norm = torch.stack(wanted).tolist()
    row_loss = row_loss_sum / max(rows, 1.0)
    loss = loss_sum / max(tokens, 1.0) + row_loss
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise _not_finite(job, step, micro_batches, loss, grad_norm)
    rate = learning_rate(step, job.num_steps, job.stage)
    set_learning_rate(job.optimizer, rate)
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    row = _measure(job, micro_batches, loss, rate, grad_norm) | looks.means(looked, tokens)
    return (row | {job.row_loss_name: row_loss} if rows else row), stopping > 0


def _measure(job: Job, micro_batches: list[Batch], loss: float, rate: float, grad_norm: float) -> dict[str, float]:
    text = sum(batch.num_text_tokens() for batch in micro_batches)
    visual = sum(batch.num_visual_tokens(job.visual_tokens) for batch in micro_batches)
    job.metrics.count(samples=sum(b.size for b in micro_batches), text_tokens=text, visual_tokens=visual)
    flops = sum(job.count_flops(batch) for batch in micro_batches)
    return job.metrics.finish(loss=loss, lr=rate, grad_norm=grad_norm, bad_samples=job.ledger.num_bad, flops=flops)


def _not_finite(job: Job, step: int, micro_batches: list[Batch], loss: float, grad_norm: float) -> RunStopped:
    """Write down what the step was made of: nothing of it has reached the parameters."""
    path = job.run_dir / f"not_finite-{job.strategy.world.rank:05d}.json"
    batches = [{"sample_ids": b.sample_ids, "rows": b.indices} for b in micro_batches]
    path.write_text(json.dumps({"step": step, "loss": str(loss), "grad_norm": str(grad_norm), "batches": batches}))
    return RunStopped(
        f"step {step}: loss {loss}, gradient norm {grad_norm}; the batch is in {path}; "
        "look at its rows or lower the learning rate, then resume from the last checkpoint"
    )
