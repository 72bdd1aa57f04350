"""The net that tells good images from bad: a ResNet with the head of VaseVQA-3D, and layers that know the whole step.

https://github.com/AIGeeksGroup/VaseVQA-3D (Train/filter/model.py) replaces the last layer of torchvision's ResNet-50
by three; names of tensors are the same here.  Batch statistics and dropout are those of all processes' rows together,
so that several processes train as one does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

Architecture = Literal["resnet18", "resnet34", "resnet50", "tiny"]
BLOCKS = {"resnet18": ("BasicBlock", (2, 2, 2, 2)), "resnet34": ("BasicBlock", (3, 4, 6, 3))}
BLOCKS |= {"resnet50": ("Bottleneck", (3, 4, 6, 3))}
NUM_CLASSES = 2


@dataclass
class Step:
    """One step of training, as each of its processes sees it."""

    rank: int = 0
    size: int = 1
    num_rows: int = 0
    """Rows of all processes together; this one has every `size`-th."""
    generator: torch.Generator | None = None
    """On the CPU, in the same state on all processes."""


class StepNorm(nn.BatchNorm2d):
    """Batch norm over the rows of all processes, on any device (torch's own wants a GPU)."""

    step: Step | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel.  (B, C, H, W) -> same."""
        step = self.step
        if not self.training or step is None or step.size == 1:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        count = step.num_rows * input.shape[2] * input.shape[3]
        mean = _sum_over_processes(input.sum((0, 2, 3))) / count
        centred = input - mean[None, :, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum or 0.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale[None, :, None, None] + self.bias[None, :, None, None]


class StepDropout(nn.Dropout):
    """Dropout whose mask is drawn for the rows of all processes, of which each takes its own."""

    step: Step | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Drop features of a row.  (B, D) -> same."""
        step = self.step
        if not self.training or step is None or step.generator is None:
            return super().forward(input)
        kept = torch.rand(step.num_rows, input.shape[1], generator=step.generator) >= self.p
        mask = kept[step.rank :: step.size].to(input.device, input.dtype)
        return input * mask / (1 - self.p)


class Tiny(nn.Module):
    """A few layers with the same head, for a CPU and small pictures."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        """Halve the picture at each width."""
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *widths[:-1]), widths, strict=True):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), StepNorm(width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.fc: nn.Module = nn.Linear(widths[-1], NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2)."""
        return self.fc(self.body(images).mean((2, 3)))


def build_net(arch: Architecture) -> nn.Module:
    """A net with random weights: normalised images (B, 3, H, W) -> logits (B, 2), low quality first."""
    if arch == "tiny":
        net: nn.Module = Tiny()
    else:
        from torchvision.models import resnet

        block, layers = BLOCKS[arch]
        net = resnet.ResNet(getattr(resnet, block), list(layers), norm_layer=StepNorm)
    assert isinstance(net.fc, nn.Linear)
    net.fc = nn.Sequential(
        nn.Linear(net.fc.in_features, 512),
        nn.ReLU(),
        StepDropout(0.5),
        nn.Linear(512, 256),
        nn.ReLU(),
        StepDropout(0.3),
        nn.Linear(256, NUM_CLASSES),
    )
    return net


@contextmanager
def within_step(net: nn.Module, step: Step) -> Iterator[None]:
    """Let the layers that look at the whole step know it."""
    layers = [layer for layer in net.modules() if isinstance(layer, StepNorm | StepDropout)]
    for layer in layers:
        layer.step = step
    try:
        yield
    finally:
        for layer in layers:
            layer.step = None


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: object, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(own: Tensor) -> Tensor:
    return _SumOverProcesses.apply(own)
