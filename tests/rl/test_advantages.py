import pytest
import torch
from torch.testing import assert_close

from merv.rl.advantages import advantages, spread, step_spread, without_spread
from merv.training.world import join_world

REWARDS = torch.tensor([[0.0, 1.0, 1.0, 2.0], [3.0, 3.0, 3.0, 3.0]])


def test_a_group_is_compared_with_itself_by_the_sample_standard_deviation():
    root = (2 / 3) ** 0.5  # of 0, 1, 1, 2: squares add up to 2, over 4 - 1

    found = advantages(REWARDS, "group")

    assert_close(spread(REWARDS), torch.tensor([root, 0.0]))
    one = 1 / (root + 1e-4)
    assert_close(found, torch.tensor([[-one, 0.0, 0.0, one], [0.0, 0.0, 0.0, 0.0]]))


def test_without_a_scale_only_the_mean_goes():
    assert advantages(REWARDS, "none").tolist() == [[-1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]


def test_a_step_may_be_scaled_as_a_whole():
    with join_world() as world:
        wide = step_spread(REWARDS, world)

    assert float(wide) == pytest.approx(float(REWARDS.std()))
    assert_close(advantages(REWARDS, "batch", wide)[0, 3], (1 / (REWARDS.std() + 1e-4)))


def test_groups_of_one_worth_are_counted():
    assert without_spread(REWARDS).tolist() == [False, True]


def test_an_answer_without_a_reward_counts_nowhere_and_has_the_advantage_zero():
    nan = float("nan")
    rewards = torch.tensor([[1.0, nan, 3.0, nan], [nan] * 4, [nan, nan, nan, 2.0]])

    gains = advantages(rewards, "group")

    alone = advantages(torch.tensor([[1.0, 3.0]]), "group")[0].tolist()
    assert gains.tolist() == [[alone[0], 0.0, alone[1], 0.0], [0.0] * 4, [0.0] * 4]
    assert without_spread(rewards).tolist() == [False, True, True]
