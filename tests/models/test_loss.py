import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from merv.models.loss import summed_cross_entropy, token_log_probs

VOCAB = 50


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements an operation gave."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def head_and_tokens(tokens):
    torch.manual_seed(0)
    head = nn.Linear(8, VOCAB)
    return head, torch.randn(tokens, 8, requires_grad=True), torch.randint(VOCAB, (tokens,))


def gradients(head, hidden, loss):
    head.zero_grad()
    hidden.grad = None
    loss.backward()
    return hidden.grad.clone(), head.weight.grad.clone(), head.bias.grad.clone()


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 23])
@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_chunks_change_neither_loss_nor_gradients(tokens, at_once):
    head, hidden, targets = head_and_tokens(tokens)
    whole = nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
    expected = gradients(head, hidden, whole)

    loss = summed_cross_entropy(hidden, targets, head, vocab_size=VOCAB, elements=at_once * VOCAB)

    assert_close(loss, whole)
    for found, right in zip(gradients(head, hidden, loss), expected, strict=True):
        assert_close(found, right)


def test_no_more_logits_exist_at_once_than_allowed():
    head, hidden, targets = head_and_tokens(64)

    with LargestTensor() as largest:
        summed_cross_entropy(hidden, targets, head, vocab_size=VOCAB, elements=4 * VOCAB).backward()

    assert largest.elements <= hidden.numel()
    assert hidden.numel() < 64 * VOCAB


def test_without_targets_the_loss_is_zero_and_keeps_the_graph():
    head, hidden, targets = head_and_tokens(0)

    loss = summed_cross_entropy(hidden, targets, head, vocab_size=VOCAB)
    loss.backward()

    assert loss == 0
    assert not head.weight.grad.any()


@pytest.mark.parametrize("at_once", [1, 4, 100])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_log_probabilities_of_tokens_are_those_of_a_softmax_in_whatever_chunks(at_once, temperature):
    head, hidden, targets = head_and_tokens(9)
    weights = torch.randn(9)
    whole = (head(hidden) / temperature).log_softmax(-1)[torch.arange(9), targets]
    expected = gradients(head, hidden, (whole * weights).sum())

    options = {"vocab_size": VOCAB, "temperature": temperature, "elements": at_once * VOCAB}
    found = token_log_probs(hidden, targets, head, **options)

    assert_close(found, whole)
    for own, right in zip(gradients(head, hidden, (found * weights).sum()), expected, strict=True):
        assert_close(own, right)


def test_a_head_with_dropout_meets_the_same_words_again_in_the_backward_pass():
    drawn = []

    def head(states):
        drawn.append(torch.rand(3))
        return states @ weight

    weight = torch.randn(4, 10)
    hidden, targets = torch.randn(6, 4, requires_grad=True), torch.arange(6)

    summed_cross_entropy(hidden, targets, head, vocab_size=10, elements=20).backward()

    first, again = drawn[:3], drawn[3:]
    assert len(again) == 3
    assert {tuple(numbers.tolist()) for numbers in again} == {tuple(numbers.tolist()) for numbers in first}
