"""Training of a classifier: epochs over augmented images, of which the best stays; several processes act as one."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from merv.errors import ConfigError, RunStopped
from merv.filters.classifier_config import SMALLEST_BATCH, FilterTrainConfig
from merv.filters.classifier_data import AugmentedBatches, View
from merv.filters.classifier_metrics import Measured, measure
from merv.filters.classifier_net import Step, within_step
from merv.filters.images import ImageBatches, Unreadable
from merv.filters.sharding import Shard

logger = logging.getLogger(__name__)

LAST_RATE = 0.01
"""Part of the learning rate that cosine leaves for the last epoch."""


@dataclass
class Course:
    """A training, epoch by epoch; accuracies are percent, as the original writes them."""

    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    train_accs: list[float] = field(default_factory=list)
    val_accs: list[float] = field(default_factory=list)
    best_epoch: int = 0
    """Counted from 1."""
    best: Measured | None = None
    """What the best epoch reached on the validation images."""


@dataclass(frozen=True)
class Images:
    """Files and the class of each."""

    paths: Sequence[Path]
    labels: Sequence[int]


def train(
    net: nn.Module, parts: dict[str, Images], view: View, config: FilterTrainConfig, device: torch.device, shard: Shard
) -> Course:
    """Train `net`, which ends as its best epoch left it: most right, of equals the lowest loss.  A collective.

    Raises:
        ConfigError: there are too few rows for so many processes.
        RunStopped: a loss is not finite, or an image cannot be read any more.
    """
    _check_rows(len(parts["train"].paths), config, shard)
    net.to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    course, best_state = Course(), {}
    for epoch in range(config.epochs):
        rate = learning_rate(epoch, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, accuracy = _train_epoch(net, optimiser, parts["train"], view, config, epoch, device, shard)
        found = evaluate(net, parts["val"], view, config.batch_size, config.workers, device, shard)
        course.train_losses.append(loss)
        course.train_accs.append(100 * accuracy)
        course.val_losses.append(found.loss)
        course.val_accs.append(100 * found.accuracy)
        line = "epoch %d: learning rate %.2g, training loss %.4f and %.1f %% right, validation %.4f and %.1f %%"
        logger.info(line, epoch + 1, rate, loss, 100 * accuracy, found.loss, 100 * found.accuracy)
        if course.best is None or (found.accuracy, -found.loss) > (course.best.accuracy, -course.best.loss):
            course.best, course.best_epoch = found, epoch + 1
            best_state = {name: tensor.cpu().clone() for name, tensor in net.state_dict().items()}
        elif config.patience is not None and epoch + 1 - course.best_epoch >= config.patience:
            logger.info("no better epoch than %d in %d: training ends", course.best_epoch, config.patience)
            break
    net.load_state_dict(best_state)
    return course


def learning_rate(epoch: int, config: FilterTrainConfig) -> float:
    """Of an epoch, counted from 0."""
    if config.schedule == "step":
        return config.learning_rate * 0.1 ** (epoch // 10)
    done = epoch / max(1, config.epochs - 1)
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2)


def evaluate(
    net: nn.Module,
    images: Images,
    view: View,
    batch_size: int,
    num_workers: int,
    device: torch.device,
    shard: Shard,
) -> Measured:
    """What the net says about images, on every process.  A collective.

    Raises:
        RunStopped: an image cannot be read any more.
    """
    rows: list[list[float]] = []
    own = shard.take(images.paths)
    for batch in ImageBatches(own, view, batch_size, num_workers, at_least=view.at_least):
        _check_read(batch.unreadable)
        rows += logits(net, batch.tensors, device).tolist()
    gathered = shard.gather(rows)
    return shard.first(lambda: measure(gathered or [], images.labels))


def logits(net: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """What the net says.  (B, 3, S, S) -> (B, 2) on the CPU."""
    net.eval()
    with torch.inference_mode():
        return net(images.to(device)).float().cpu()


def _train_epoch(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Images,
    view: View,
    config: FilterTrainConfig,
    epoch: int,
    device: torch.device,
    shard: Shard,
) -> tuple[float, float]:
    """One pass over the training images; gives mean loss and the part that was right, over all processes."""
    net.train()
    total = len(images.paths)
    generator = torch.Generator().manual_seed(config.seed + 1000003 * (epoch + 1))
    order = torch.randperm(total, generator=generator)
    steps = order.tensor_split(math.ceil(total / config.batch_size))  # equal sizes: no step of a few rows
    own = [step[shard.rank :: shard.size].tolist() for step in steps]
    keys = [place for places in own for place in places]
    paths = [images.paths[place] for place in keys]
    batches = AugmentedBatches(paths, keys, view, len(own[0]), config.workers, seed=(config.seed, epoch))
    rows = batches.rows()
    seen = torch.zeros(2, dtype=torch.float64)
    for step, places in zip(steps, own, strict=True):
        tensors = [_checked(next(rows)) for _ in places]
        labels = torch.tensor([images.labels[place] for place in places], device=device)
        with within_step(net, Step(shard.rank, shard.size, len(step), generator)):
            said = net(torch.stack(tensors).to(device))
            loss = nn.functional.cross_entropy(said, labels, reduction="sum")
            optimiser.zero_grad(set_to_none=True)
            (loss / len(step)).backward()
        if shard.size > 1:
            _sum_gradients(net)
        optimiser.step()
        seen += torch.stack([loss.detach(), (said.argmax(1) == labels).sum()]).double().cpu()
    if shard.size > 1:
        dist.all_reduce(seen)
    mean_loss, accuracy = (seen / total).tolist()
    if not math.isfinite(mean_loss):
        raise RunStopped(
            f"the loss of epoch {epoch + 1} is {mean_loss}; lower --learning_rate {config.learning_rate:g}"
        )
    return mean_loss, accuracy


def _sum_gradients(net: nn.Module) -> None:
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _check_rows(num_train: int, config: FilterTrainConfig, shard: Shard) -> None:
    smallest = SMALLEST_BATCH * shard.size
    if config.batch_size < smallest or num_train < 2 * shard.size:
        raise ConfigError(
            f"batch_size {config.batch_size} and {num_train} training images are too few for {shard.size} processes; "
            f"a step has {smallest} rows at least: raise --batch_size, or start fewer processes"
        )


def _check_read(unreadable: Sequence[Unreadable]) -> None:
    if unreadable:
        raise RunStopped(f"an image that was readable is not any more: {unreadable[0].reason}")


def _checked(row: Tensor | Unreadable) -> Tensor:
    if isinstance(row, Unreadable):
        _check_read([row])
    assert isinstance(row, Tensor)
    return row
