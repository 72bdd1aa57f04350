import pytest
import torch

from merv.errors import RunStopped
from merv.models.qwen2_vl.verdict import verdicts

PROTOCOLS = ["merv", "videomind"]
LOGITS = torch.tensor([[0.0, 2.0, 1.0], [5.0, 0.0, 3.0], [9.0, 1.0, 1.0]])


def scores(protocol, logits=LOGITS):
    return [reply.score for reply in verdicts(logits, yes=1, no=2, protocol=protocol)]


def test_the_score_is_the_probability_of_yes_among_two_words():
    expected = LOGITS[:, 1:].softmax(-1)[:, 0].tolist()

    assert scores("merv") == pytest.approx(expected)
    assert scores("merv", LOGITS + torch.tensor([7.0, 0.0, 0.0])) == pytest.approx(expected)  # other words say nothing


def test_videomind_squashes_the_difference_of_probabilities():
    chances = LOGITS.softmax(-1)

    assert scores("videomind") == pytest.approx((chances[:, 1] - chances[:, 2]).sigmoid().tolist())
    assert scores("videomind", torch.tensor([[0.0, 90.0, 0.0]])) == pytest.approx([0.7310586])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_words_follow_the_score_and_an_even_chance_is_a_yes(protocol):
    replies = verdicts(LOGITS, yes=1, no=2, protocol=protocol)

    assert [reply.text for reply in replies] == ["Yes.", "No.", "Yes."]
    assert [reply.spans for reply in replies] == [None, None, None]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_no_numbers_give_no_verdict(protocol, value):
    logits = LOGITS.clone()
    logits[1, 2] = value

    with pytest.raises(
        RunStopped,
        match=r"^the verifier's logits are not finite: the model's weights are damaged, or overflow in their type; "
        r"try bfloat16 or float32$",
    ):
        verdicts(logits, yes=1, no=2, protocol=protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_more_for_yes_is_a_higher_score(protocol):
    rising = torch.stack([torch.tensor([0.0, step, 0.5]) for step in torch.linspace(-4, 4, 9)])

    found = scores(protocol, rising)

    assert found == sorted(found)
    assert len(set(found)) == 9
