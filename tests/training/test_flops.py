import pytest
import torch
from torch import nn

from merv.training.flops import PartCost, attention_flops, mfu, part_costs, peak_tflops, step_flops


def test_a_trained_parameter_costs_6_a_frozen_one_2_or_4_with_gradient_behind_it():
    assert PartCost(trained=10, frozen=0, passes_gradient=True).flops_per_token == 60
    assert PartCost(trained=0, frozen=10, passes_gradient=False).flops_per_token == 20
    assert PartCost(trained=0, frozen=10, passes_gradient=True).flops_per_token == 40


def test_gradient_passes_through_frozen_parts_behind_the_first_that_learns():
    parts = {"video_backbones": nn.Linear(4, 4), "projectors": nn.Linear(4, 4), "llm": nn.Linear(4, 4)}
    for name in ("video_backbones", "llm"):
        parts[name].requires_grad_(False)

    costs = part_costs(parts)

    assert costs == {
        "video_backbones": PartCost(0, 20, passes_gradient=False),
        "projectors": PartCost(20, 0, passes_gradient=True),
        "llm": PartCost(0, 20, passes_gradient=True),
    }


def test_an_embedding_table_costs_nothing_unless_the_head_shares_it():
    table, head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
    untied = part_costs({"llm": nn.ModuleList([table, head])})["llm"].trained
    head.weight = table.weight

    tied = part_costs({"llm": nn.ModuleList([table, head])})["llm"].trained

    assert (untied, tied) == (40, 40)


class Product(torch.autograd.Function):
    """x W^T that adds up the FLOPs of the products autograd really asks for."""

    flops = 0

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        Product.flops += 2 * x.shape[0] * weight.numel()
        return x @ weight.T

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        Product.flops += 2 * x.shape[0] * weight.numel() * sum(ctx.needs_input_grad)
        return grad @ weight, grad.T @ x


def test_flops_are_those_of_the_products_autograd_asks_for(monkeypatch):
    monkeypatch.setattr(Product, "flops", 0)
    frozen, trained = nn.Linear(16, 32, bias=False).requires_grad_(False), nn.Linear(32, 8, bias=False)
    last = nn.Linear(8, 8, bias=False).requires_grad_(False)
    tokens = torch.randn(5, 16)
    for layer in (frozen, trained, last):
        tokens = Product.apply(tokens, layer.weight)
    tokens.sum().backward()

    costs = part_costs({"encoder": frozen, "projector": trained, "llm": last})
    counted = step_flops(costs, {"encoder": 5, "projector": 5, "llm": 5})

    # 6 N of a trained part includes its input's gradient, which nothing before the first trained part asks for.
    assert counted - Product.flops == 2 * 32 * 8 * 5


def test_attention_flops_grow_with_the_square_of_each_sequence():
    full = attention_flops([10, 20], layers=2, width=8, causal=False, passes_gradient=False)

    assert full == 4 * 8 * 2 * (10**2 + 20**2)
    assert attention_flops([10, 20], layers=2, width=8) == full * 3 / 2


@pytest.mark.parametrize(
    ("name", "dtype", "expected"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA A100 80GB PCIe", "torch.float32", 19.5),
        ("NVIDIA A10", "bfloat16", 125),
        ("NVIDIA A10G", "bfloat16", 70),
        ("NVIDIA H100 80GB HBM3", "torch.bfloat16", 989),
        ("NVIDIA H100 PCIe", "bfloat16", 756),
        ("NVIDIA H100 NVL", "bfloat16", 835),
        ("NVIDIA H200", "bfloat16", 989),
        ("NVIDIA GH200 480GB", "bfloat16", 989),
        ("NVIDIA B200", "bfloat16", 2250),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA L40", "bfloat16", 181),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165.2),
        ("Tesla V100-SXM2-32GB", "float16", 125),
        ("Tesla V100-PCIE-16GB", "float16", 112),
        ("AMD Instinct MI300X", "bfloat16", 1307.4),
        ("Ascend910B3", "bfloat16", 313),
    ],
)
def test_peak_is_found_by_the_name_torch_gives(name, dtype, expected):
    assert peak_tflops(name, dtype) == expected


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("Tesla V100-SXM2-32GB", "bfloat16"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bfloat16"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16"),
        ("NVIDIA H100 80GB HBM3", "int8"),
        ("cpu", "float32"),
    ],
)
def test_peak_is_none_where_the_device_has_none_we_know(name, dtype):
    assert peak_tflops(name, dtype) is None
    assert mfu(1e12, 1.0, name, dtype) is None


def test_mfu_is_the_share_of_the_peak():
    assert mfu(flops=98.9e12, seconds=0.2, device_name="NVIDIA H200") == pytest.approx(0.5)
