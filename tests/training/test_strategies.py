from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_model_state_dict

from merv.errors import ConfigError
from merv.training.strategies import StrategyConfig
from merv.training.strategies.base import Precision
from merv.training.world import World, join_world

from .toy import ToyLM, make_batch

ALL = StrategyConfig.available()


@pytest.fixture
def world() -> Iterator[World]:
    with join_world() as joined:
        yield joined


def whole(tensor):
    """A tensor as one process alone would have it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


@pytest.mark.parametrize("name", ALL)
def test_losses_gradients_and_names_are_those_of_the_bare_model(world, name):
    bare, batch = ToyLM(), make_batch(range(4))
    loss_sum, num_tokens, *_ = bare(batch)
    (loss_sum / num_tokens).backward()
    strategy = StrategyConfig.get(name)().build(world, Precision())
    model = strategy.prepare(ToyLM())

    strategy.synchronise(model, True)
    output = strategy.forward(model, batch)
    strategy.backward(output, torch.tensor(float(num_tokens)))

    torch.testing.assert_close(output.loss_sum, loss_sum)
    assert get_model_state_dict(model).keys() == bare.state_dict().keys()
    expected = [p.grad for p in bare.parameters()]
    torch.testing.assert_close([whole(p.grad) for p in model.parameters()], expected)
    norm = float(strategy.clip(model.parameters(), 0.0))
    assert norm == pytest.approx(float(torch.nn.utils.get_total_norm(expected)), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_gradients_add_up_over_micro_batches(world, name):
    strategy = StrategyConfig.get(name)().build(world, Precision())
    found = []
    for parts in ([range(4)], [range(2), range(2, 4)]):
        model = strategy.prepare(ToyLM())
        for number, rows in enumerate(parts):
            strategy.synchronise(model, number == len(parts) - 1)
            strategy.backward(strategy.forward(model, make_batch(rows)), step_tokens=torch.tensor(7.0))
        found.append([whole(p.grad) for p in model.parameters()])

    torch.testing.assert_close(found[1], found[0])


def test_bfloat16_computes_in_it_and_keeps_float32_parameters(world):
    strategy = StrategyConfig.get("fsdp-full-shard")().build(world, Precision(torch.bfloat16))
    model = strategy.prepare(ToyLM())

    output = strategy.forward(model, make_batch(range(4)))
    strategy.backward(output, torch.tensor(8.0))

    exact = ToyLM()(make_batch(range(4))).loss_sum
    assert output.loss_sum != exact
    torch.testing.assert_close(output.loss_sum.float(), exact, rtol=0.02, atol=0)  # 8 bits of fraction
    assert {p.dtype for p in model.parameters()} | {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_single_refuses_several_processes(world):
    with pytest.raises(ConfigError, match="`single` with 2 processes; choose ddp or fsdp-full-shard"):
        StrategyConfig.get("single")().build(replace(world, size=2), Precision())


def test_hsdp_refuses_nodes_of_different_size(world, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")

    with pytest.raises(ConfigError, match="3 processes do not divide into nodes of 2"):
        StrategyConfig.get("hsdp")().build(replace(world, size=3), Precision())


@pytest.mark.parametrize("name", ALL)
def test_a_model_set_aside_is_whole_and_learns_on_as_if_nothing_had_happened(world, name):
    batch = make_batch(range(4))
    gradients = []
    for times in (0, 2):
        strategy = StrategyConfig.get(name)().build(world, Precision())
        model = strategy.prepare(ToyLM())
        kinds = [type(parameter) for parameter in model.parameters()]
        for _ in range(times):
            shapes = strategy.aside(model, lambda own: [own.table(batch.input_ids).shape, own.head.weight.shape])
            assert shapes == [(4, 5, 6), (11, 6)]
            assert not strategy.aside(model, lambda own: own(batch)).loss_sum.requires_grad
            assert [type(parameter) for parameter in model.parameters()] == kinds
        strategy.synchronise(model, True)
        strategy.backward(strategy.forward(model, batch), torch.tensor(8.0))
        gradients.append([whole(p.grad) for p in model.parameters()])

    torch.testing.assert_close(*gradients)
