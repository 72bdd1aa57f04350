"""The contract of a strategy: prepare a model for several processes, and run its forward and backward passes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from draccus import ChoiceRegistry
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from merv.data.sample import Batch
from merv.models.base import Output, VideoLM
from merv.models.freeze import cast_frozen
from merv.registry import Registry
from merv.training.world import World

T = TypeVar("T")


@dataclass(frozen=True)
class Precision:
    """What the forward pass computes in; parameters and optimiser states are float32."""

    compute: torch.dtype = torch.float32
    reduce: torch.dtype = torch.float32
    """Gradients are summed over processes in this type."""


def bare(model: nn.Module) -> VideoLM:
    """The video-language model that a strategy prepared."""
    own: Any = getattr(model, "module", model)
    return own


@dataclass
class StrategyConfig(Registry, ChoiceRegistry, kind="strategy"):
    """How a model is spread over processes."""

    first_reads: ClassVar[bool] = False
    """Whether it is enough that the first process has the weights when the model is prepared."""

    def build(self, world: World, precision: Precision) -> "Strategy":
        """Make the strategy for the processes of `world`.

        Raises:
            ConfigError: it does not work with this number of processes.
        """
        raise TypeError(f"{type(self).__name__} does not define build()")


class Strategy(ABC):
    """Runs one model on the processes of a world."""

    def __init__(self, world: World, precision: Precision) -> None:
        """Remember where to run and in what precision."""
        self.world = world
        self.precision = precision

    @abstractmethod
    def prepare(self, model: VideoLM) -> nn.Module:
        """Move the model to the device and spread it; call the result in place of the model."""

    def settle(self, model: VideoLM) -> None:
        """Keep what does not learn in the type it is computed in: half the memory, nothing to convert each step."""
        cast_frozen(model, self.precision.compute)

    def synchronise(self, model: nn.Module, on: bool) -> None:  # noqa: B027 - one process has nothing to do
        """Whether the next backward pass sums gradients over processes: only the last of a step has to."""

    def forward(self, model: nn.Module, batch: Batch) -> Output:
        """Loss of a micro-batch on this process."""
        with self.computing():
            return model(batch.to(self.world.device))

    def computing(self) -> AbstractContextManager[None]:
        """Within it the forward pass computes in the precision that was chosen."""
        dtype = self.precision.compute
        return torch.autocast(self.world.device.type, dtype, enabled=dtype != torch.float32)

    def aside(self, model: nn.Module, work: Callable[[VideoLM], T]) -> T:
        """What `work` makes of the model beside training, without gradients.

        Every process holds the whole model meanwhile and runs its parts as often as it likes, whatever the others do;
        only beginning and ending are collectives.
        """
        with torch.no_grad(), self.computing():
            return work(bare(model))

    def backward(self, output: Output, step_tokens: Tensor, step_rows: Tensor | None = None) -> None:
        """Gradients of the step's mean loss.

        Processes average gradients, so the sum over target tokens is scaled to make that average the mean over
        `step_tokens`, the target tokens of all micro-batches on all processes: () on the device.  What a head is to
        learn is averaged over `step_rows`, the rows of all of them that say so.
        """
        loss = output.loss_sum * (self.world.size / step_tokens.clamp(min=1.0))
        if output.row_loss_sum is not None and step_rows is not None:
            loss = loss + output.row_loss_sum * (self.world.size / step_rows.clamp(min=1.0))
        loss.backward()

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scale gradients down to `max_norm` (0: leave them); gives the norm before, () on the device."""
        found = [p for p in parameters if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in found])  # type: ignore[misc]
        whole: Tensor = norm.full_tensor() if isinstance(norm, DTensor) else norm
        if max_norm > 0:
            nn.utils.clip_grads_with_norm_(found, max_norm, whole)
        return whole
