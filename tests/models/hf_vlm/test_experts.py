import math

import torch
from torch.testing import assert_close

from merv.models.hf_vlm.experts import expert_loss, find_routers, routed


def test_routers_are_found_in_a_mixture_of_experts_alone(tiny_model):
    assert len(find_routers(tiny_model("aria"))) == 2
    assert find_routers(tiny_model("qwen2.5-vl")) == []


def test_logits_of_every_router_are_seen(tiny_model):
    model = tiny_model("aria")

    with routed(find_routers(model)) as seen:
        model(input_ids=torch.arange(6)[None])
    model(input_ids=torch.arange(6)[None])

    assert [(tuple(logits.shape), top_k) for logits, top_k in seen] == [((6, 4), 2), ((6, 4), 2)]


def test_even_routing_has_a_balance_loss_of_one():
    logits = torch.zeros(8, 4)
    logits[torch.arange(8), torch.arange(8) % 4] = 1e-4  # each expert is first choice of two tokens

    loss = expert_loss([(logits, 1)], torch.ones(8, dtype=torch.bool), balance=1.0, z=0.0)

    assert_close(loss, torch.tensor(1.0), atol=1e-3, rtol=0)


def test_routing_to_one_expert_costs_as_many_times_as_there_are_experts():
    logits = torch.zeros(8, 4)
    logits[:, 0] = 50.0

    loss = expert_loss([(logits, 1)], torch.ones(8, dtype=torch.bool), balance=1.0, z=0.0)

    assert_close(loss, torch.tensor(4.0), atol=1e-4, rtol=0)


def test_the_z_loss_is_the_mean_squared_log_sum_exp():
    logits = torch.zeros(5, 4)

    loss = expert_loss([(logits, 2), (logits, 2)], torch.ones(5, dtype=torch.bool), balance=0.0, z=0.5)

    assert_close(loss, torch.tensor(2 * 0.5 * math.log(4) ** 2))


def test_padding_counts_for_nothing():
    torch.manual_seed(0)
    logits, mask = torch.randn(10, 4), torch.tensor([True] * 6 + [False] * 4)

    padded = expert_loss([(logits, 2)], mask, balance=0.3, z=0.1)
    alone = expert_loss([(logits[:6], 2)], mask[:6], balance=0.3, z=0.1)

    assert_close(padded, alone)


def test_the_loss_reaches_the_router():
    logits = torch.randn(6, 4, requires_grad=True)

    expert_loss([(logits, 2)], torch.ones(6, dtype=torch.bool), balance=1.0, z=1.0).backward()

    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0
