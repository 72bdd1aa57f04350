"""Model FLOPs of a step, peak rates of known accelerators, and the share of the peak a step reaches (MFU).

Counting follows PaLM, appendix B (https://arxiv.org/abs/2204.02311): only the work the model itself asks for.  What
activation checkpointing computes a second time does not count.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn


@dataclass(frozen=True)
class PartCost:
    """Matrix parameters of one part and what backward does with them.

    FLOPs of one token: 2 a parameter for the forward product, 2 more where the gradient of its input is needed, 2
    more where its own gradient is.  Hence 6 N for what learns, 4 N for frozen layers a gradient passes through (the
    LLM while the projectors before it learn), 2 N for frozen layers before anything that learns.
    """

    trained: int
    """Parameters that learn."""
    frozen: int
    """Parameters that do not."""
    passes_gradient: bool
    """Whether something that learns stands before or inside this part."""

    @property
    def flops_per_token(self) -> int:
        """FLOPs of forward and backward for one token."""
        return 6 * self.trained + (4 if self.passes_gradient else 2) * self.frozen


def part_costs(parts: Mapping[str, nn.Module]) -> dict[str, PartCost]:
    """Costs of parts named in the order data flows through them; `requires_grad` tells what learns.

    Embedding tables cost nothing (a lookup is no product) unless a linear layer, such as a tied head, shares them.
    """
    costs: dict[str, PartCost] = {}
    learns = False
    for name, module in parts.items():
        tables = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
        products = {id(p) for m in module.modules() if isinstance(m, nn.Linear) for p in m.parameters(recurse=False)}
        counted = [p for p in module.parameters() if id(p) not in tables - products]
        trained = sum(p.numel() for p in counted if p.requires_grad)
        learns = learns or any(p.requires_grad for p in module.parameters())
        costs[name] = PartCost(trained, sum(p.numel() for p in counted) - trained, passes_gradient=learns)
    return costs


def step_flops(costs: Mapping[str, PartCost], tokens: Mapping[str, int], attention: float = 0.0) -> float:
    """FLOPs of one step: for every part cost x tokens it saw (padding left out), plus `attention_flops` if wanted."""
    return float(sum(costs[name].flops_per_token * count for name, count in tokens.items())) + attention


def attention_flops(
    lengths: Iterable[int], *, layers: int, width: int, causal: bool = True, passes_gradient: bool = True
) -> float:
    """FLOPs of scores and weighted sums, which have no parameters, over sequences of `lengths` tokens.

    One layer and one sequence of L tokens: 2 products of 2 L^2 width forward, twice that backward; half when causal.
    `width` is heads * head_dim of the queries.
    """
    forward = 4.0 * width * layers * sum(length * length for length in lengths)
    return forward * (3 if passes_gradient else 1) * (0.5 if causal else 1.0)


class Peak(NamedTuple):
    """Dense peak of one accelerator in TFLOP/s, without structured sparsity; None: not published or not supported."""

    bfloat16: float | None
    float16: float | None
    float32: float | None
    """Without TF32, which torch does not use for matrix products unless told."""


# From the vendors' data sheets and white papers.  The first pattern found in the device's name counts, so the special
# forms of a chip stand before the plain one.  A GeForce card's tensor rate is the one with float32 accumulation.
_PEAKS: tuple[tuple[str, Peak], ...] = (
    (r"\bMIG\b", Peak(None, None, None)),  # a slice of a chip has a peak of its own
    (r"\bGB[23]00\b", Peak(2500, 2500, 80)),
    (r"\bB[23]00\b", Peak(2250, 2250, 75)),
    (r"\bB100\b", Peak(1750, 1750, 60)),
    (r"\bH[12]00 NVL\b", Peak(835, 835, 60)),
    (r"\bH100 PCIe\b", Peak(756, 756, 51)),
    (r"\b(G?H200|H100|GH200|H800)\b", Peak(989, 989, 67)),
    (r"\bH20\b", Peak(148, 148, 44)),
    (r"\bA[18]00\b", Peak(312, 312, 19.5)),
    (r"\bA40\b", Peak(149.7, 149.7, 37.4)),
    (r"\bA30\b", Peak(165, 165, 10.3)),
    (r"\bA10G\b", Peak(70, 70, None)),
    (r"\bA10\b", Peak(125, 125, 31.2)),
    (r"\bL40S\b", Peak(362, 362, 91.6)),
    (r"\bL40\b", Peak(181, 181, 90.5)),
    (r"\bL4\b", Peak(121, 121, 30.3)),
    (r"\bRTX 6000 Ada\b", Peak(364, 364, 91.1)),
    (r"\bRTX A6000\b", Peak(154.8, 154.8, 38.7)),
    (r"\bRTX 5090\b(?! Laptop)", Peak(209.5, 209.5, 104.8)),
    (r"\bRTX 4090\b(?! Laptop)", Peak(165.2, 165.2, 82.6)),
    (r"\bRTX 3090\b(?! Ti| Laptop)", Peak(71, 71, 35.6)),
    (r"\bV100S\b", Peak(None, 130, 16.4)),
    (r"\bV100-PCIE\b", Peak(None, 112, 14)),
    (r"\bV100\b", Peak(None, 125, 15.7)),
    (r"\bT4\b", Peak(None, 65, 8.1)),
    (r"\bMI3(00X|25X)\b", Peak(1307.4, 1307.4, 163.4)),
    (r"\bMI300A\b", Peak(980.6, 980.6, 122.6)),
    (r"\bMI250X\b", Peak(191.5, 191.5, 23.9)),  # one of the card's two dies, which is one device to torch
    (r"\bAscend ?910B2", Peak(376, 376, None)),
    (r"\bAscend ?910B3", Peak(313, 313, None)),
    (r"\bAscend ?910B4", Peak(280, 280, None)),
)


def peak_tflops(device_name: str, dtype: str = "bfloat16") -> float | None:
    """Dense peak in TFLOP/s of the device torch calls `device_name`; None when it is not known.

    `dtype` is bfloat16, float16 or float32, with or without torch's prefix (`str(torch.bfloat16)` will do).
    """
    kind = dtype.removeprefix("torch.")
    for pattern, peak in _PEAKS:
        if re.search(pattern, device_name, re.IGNORECASE):
            return getattr(peak, kind, None) if kind in Peak._fields else None
    return None


def mfu(flops: float, seconds: float, device_name: str, dtype: str = "bfloat16") -> float | None:
    """Share of the device's peak, 0..1, that `flops` done by it in `seconds` amount to; None for an unknown device."""
    peak = peak_tflops(device_name, dtype)
    if peak is None or seconds <= 0:
        return None
    return flops / seconds / (peak * 1e12)
