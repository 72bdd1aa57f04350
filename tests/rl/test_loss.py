import pytest
import torch
from torch.testing import assert_close

from merv.rl.loss import denominator, divergence, policy_loss, token_weights

LEARNED = torch.tensor([[True, True, True, True], [True, False, False, False], [False] * 4])
LONGEST = 8


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr-grpo"])
def test_averages_are_those_of_the_papers(loss_type):
    losses = torch.arange(12.0).view(3, 4) + 1
    own = losses * LEARNED
    expected = {
        "grpo": (own[0].sum() / 4 + own[1].sum() / 1 + 0) / 3,
        "dapo": own.sum() / 5,
        "dr-grpo": own.sum() / (3 * LONGEST),
    }

    found = (losses * token_weights(LEARNED, loss_type, LONGEST)).sum() / denominator(LEARNED, loss_type)

    assert_close(found, expected[loss_type])


def test_its_value_is_minus_the_advantage_and_its_gradient_that_of_the_log_probability():
    log_probs = torch.tensor([-1.0, -2.0], requires_grad=True)
    gains = torch.tensor([0.5, -3.0])

    losses = policy_loss(log_probs, gains)
    losses.sum().backward()

    assert losses.tolist() == [-0.5, 3.0]
    assert log_probs.grad.tolist() == [-0.5, 3.0]


def test_divergence_is_k3_and_pulls_towards_the_reference():
    log_probs = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    reference = torch.tensor([-1.0, -1.0, -2.5])

    found = divergence(log_probs, reference)
    found.sum().backward()

    difference = (reference - log_probs).detach()
    assert_close(found, difference.exp() - difference - 1)
    assert (found >= 0).all()
    assert_close(log_probs.grad, 1 - difference.exp())
