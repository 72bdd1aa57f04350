import pytest
import torch
from torch.testing import assert_close

from merv.data.sample import IGNORE_INDEX
from merv.models.prompted import Prompts
from merv.rl.rollouts import Sampling, _measured, completion_log_probs, joined, sample_answers

from .prompted_models import KINDS, other_pixels, prompted

SAMPLING = Sampling(max_new_tokens=5, batch_size=4)


@pytest.fixture(scope="module", params=KINDS)
def tiny(request, tmp_path_factory):
    return prompted(request.param, tmp_path_factory.mktemp(request.param))


def log_probs(model, batch, completions, learned, times=1, temperature=1.0):
    with torch.no_grad():
        prompts = model.prompts(batch).repeat(times)
        with model.talking(prompts):
            return completion_log_probs(model, prompts, completions, learned, temperature=temperature)


@pytest.mark.parametrize("rows", [(0,), (1,), (2,), (0, 1, 2)])
def test_log_probabilities_are_those_of_the_models_own_forward(tiny, rows):
    trained = tiny.batch(*rows, answer=True, pad="right")
    answers = [labels[labels != IGNORE_INDEX] for labels in trained.labels]
    completions = torch.nn.utils.rnn.pad_sequence(answers, batch_first=True)
    learned = torch.nn.utils.rnn.pad_sequence([torch.ones_like(ids) for ids in answers], batch_first=True).bool()

    found = log_probs(tiny.model, tiny.batch(*rows), completions, learned)

    with torch.no_grad():
        expected = tiny.model(trained)
    assert len(found) == int(expected.num_tokens)
    assert_close(-found.sum(), expected.loss_sum, rtol=1e-5, atol=1e-5)


def test_the_words_of_generate_are_the_likeliest_of_the_log_probabilities(tiny):
    batch = tiny.batch(0, 1, 2)
    with torch.inference_mode():
        prompts = tiny.model.prompts(batch)
    greedy = Sampling(temperature=1e-4, max_new_tokens=5)

    said = sample_answers(tiny.model, prompts, [1, 2, 3], greedy)

    cold = log_probs(tiny.model, batch, said.ids, said.present, temperature=1e-4)
    assert_close(cold, torch.zeros_like(cold), atol=1e-3, rtol=0)


@pytest.mark.parametrize("row", [0, 1])
def test_changing_the_pixels_changes_log_probabilities(tiny, row):
    batch = tiny.batch(row)
    completions = torch.tensor([[5, 9, 12]])
    learned = torch.ones_like(completions).bool()

    seen = log_probs(tiny.model, batch, completions, learned)
    other = log_probs(tiny.model, other_pixels(batch), completions, learned)

    assert ((seen - other).abs() > 1e-4).all(), "every token depends on what is shown"


@pytest.mark.parametrize("row", [0, 1])
def test_changing_the_pixels_changes_the_logits_that_are_sampled_from(tiny, row, monkeypatch):
    seen = []

    def keep(_, scores):
        seen.append(scores.clone())
        return scores

    monkeypatch.setattr("merv.rl.rollouts.warpers", lambda **_: [keep])
    batch = tiny.batch(row)
    for asked in (batch, other_pixels(batch)):
        with torch.inference_mode():
            sample_answers(tiny.model, tiny.model.prompts(asked), [1], Sampling(max_new_tokens=1))

    first, second = seen
    assert (first - second).abs().max() > 1e-3


def test_an_answer_depends_neither_on_its_company_nor_on_the_size_of_a_batch(tiny):
    seeds = list(range(6))
    with torch.inference_mode():
        together = tiny.model.prompts(tiny.batch(0, 1, 2))
        apart = joined([tiny.model.prompts(tiny.batch(row)) for row in (0, 1, 2)])

    at_once = sample_answers(tiny.model, together, seeds, SAMPLING)
    in_parts = sample_answers(tiny.model, apart, seeds, Sampling(max_new_tokens=5, batch_size=1))
    alone = sample_answers(tiny.model, tiny_prompts(tiny, 2), seeds[4:], SAMPLING)

    assert torch.equal(at_once.ids, in_parts.ids)
    assert torch.equal(at_once.ids[4:, : alone.ids.shape[1]], alone.ids)
    assert len({tuple(row) for row in at_once.ids.tolist()}) == 6


def tiny_prompts(tiny, *rows):
    with torch.inference_mode():
        return tiny.model.prompts(tiny.batch(*rows))


def test_joined_prompts_are_padded_on_the_left_and_keep_their_roles():
    short = Prompts(torch.ones(1, 2, 4), torch.ones(1, 2).bool(), torch.full((3, 1, 2), 7), ("gqa",))
    long = Prompts(torch.ones(2, 3, 4), torch.ones(2, 3).bool(), torch.full((3, 2, 3), 8), ("planner", "answerer"))

    found = joined([short, long])

    assert found.mask.tolist() == [[False, True, True], [True] * 3, [True] * 3]
    assert found.embeds[0, 0].tolist() == [0.0] * 4
    assert found.positions[0].tolist() == [[0, 7, 7], [8] * 3, [8] * 3]
    assert found.roles == ("gqa", "planner", "answerer")


def test_an_answer_ends_with_its_first_end_and_one_without_is_truncated():
    ids = torch.tensor([[5, 2, 2, 9], [2, 0, 0, 0], [5, 6, 7, 8], [4, 4, 4, 3]])

    found = _measured(ids, [2, 3])

    assert found.present.int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert found.truncated.tolist() == [False, False, True, False]
