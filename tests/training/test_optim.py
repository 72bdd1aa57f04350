import json
from pathlib import Path

import pytest
import torch
from torch import nn

from merv.models.stage import StageConfig
from merv.training.optim import build_optimizer, learning_rate, num_warmup_steps, set_learning_rate

CASES = json.loads((Path(__file__).parents[1] / "golden" / "lr_schedule.json").read_text())["cases"]


def stage_of(case):
    chosen = ("learning_rate", "warmup_ratio", "weight_decay")
    return StageConfig(**{name: case[name] for name in chosen})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['num_training_steps']} steps")
def test_the_schedule_is_mervs_but_for_the_first_step(case):
    stage, num_steps = stage_of(case), case["num_training_steps"]

    rates = [learning_rate(step, num_steps, stage) for step in range(num_steps)]

    assert num_warmup_steps(num_steps, stage) == case["num_warmup_steps"]
    torch.testing.assert_close(rates[1:], case["lr_used_at_step"][1:], rtol=1e-12, atol=0)
    assert case["lr_used_at_step"][0] == 0 < rates[0] <= stage.learning_rate


@pytest.mark.parametrize(("ratio", "first"), [(0.0, 1.0), (0.1, 0.5), (0.2, 0.25), (1.0, 0.05)])
def test_the_first_step_is_not_wasted(ratio, first):
    stage = StageConfig(learning_rate=1.0, warmup_ratio=ratio)

    assert learning_rate(0, 10, stage) == first


def test_a_constant_rate_stays():
    stage = StageConfig(learning_rate=0.3, lr_scheduler_type="constant")

    assert {learning_rate(step, 7, stage) for step in range(7)} == {0.3}


def parameters(names):
    """Parameters called as in the recording, with the dimensions their names imply; one of them is frozen."""
    matrices = {"Q", "projectors.0.weight", "feature_fusion.weight"}
    made = [(name, nn.Parameter(torch.zeros((2, 2) if name in matrices else (2,)))) for name in names]
    return [*made, ("frozen.weight", nn.Parameter(torch.zeros(2, 2), requires_grad=False))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['num_training_steps']} steps")
def test_parameters_are_grouped_as_merv_does(case):
    named = parameters([name for group in case["param_groups"] for name in group["params"]])
    name_of = {id(parameter): name for name, parameter in named}

    optimizer = build_optimizer(named, stage_of(case))

    groups = [
        {
            "weight_decay": group["weight_decay"],
            "params": [name_of[id(parameter)] for parameter in group["params"]],
            "betas": list(group["betas"]),
            "eps": group["eps"],
        }
        for group in optimizer.param_groups
    ]
    assert groups == case["param_groups"]


def test_a_matrix_called_bias_is_not_decayed_and_an_empty_group_is_left_out():
    optimizer = build_optimizer([("in_proj_bias", nn.Parameter(torch.zeros(2, 2)))], StageConfig(weight_decay=0.1))

    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0]


def test_a_rate_reaches_every_group():
    optimizer = build_optimizer(parameters(["Q", "scalar"]), StageConfig())

    set_learning_rate(optimizer, 0.25)

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
