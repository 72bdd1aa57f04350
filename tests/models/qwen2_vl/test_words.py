"""The loss of a batch whose rows have different roles: each goes through its own adapter and its own head."""

import pytest
import torch
from torch.testing import assert_close

from merv.models import loss
from merv.models.qwen2_vl import words
from merv.models.qwen2_vl.processor import RoleProcessor

from .role_rows import all_roles, grounding, judging, sample, talk


@pytest.fixture(scope="module")
def model():
    return all_roles()


@pytest.fixture(scope="module")
def examples(model, clips):
    """Rows of four roles, of which two have heads of their own and one stands twice."""
    rows = [
        ("verifier", judging(clips["wide"], (0.0, 2.0), 4.0, True)),
        ("planner", sample(question="What is it?", plan=[{"type": "answerer"}])),
        ("grounder", grounding(clips["tall"], (1.0, 2.0))),
        ("verifier", judging(clips["short"], (0.0, 1.0), 1.0, False)),
        ("answerer", talk(question="What colour is snow?")),
    ]
    return [model.processor.for_role(role).prepare(row) for role, row in rows]


def loss_of(model, examples):
    return model(RoleProcessor.collate(model.processor, examples)).loss_sum


@torch.no_grad()
def test_rows_of_different_roles_lose_together_what_they_lose_alone(model, examples):
    together = loss_of(model, examples)

    assert_close(together, sum(loss_of(model, [example]) for example in examples), rtol=1e-4, atol=1e-4)
    assert_close(loss_of(model, examples[::-1]), together, rtol=1e-4, atol=1e-4)


def test_a_stretch_of_tokens_at_a_time_has_the_same_gradients(model, examples, monkeypatch):
    """The backward pass makes the logits of a stretch again, when another role may have spoken last."""

    def in_stretches(*args, vocab_size, **options):
        return loss.summed_cross_entropy(*args, vocab_size=vocab_size, elements=3 * vocab_size, **options)

    batch = model.processor.collate(examples)
    found = []
    for way in (loss.summed_cross_entropy, in_stretches):
        monkeypatch.setattr(words, "summed_cross_entropy", way)
        hidden = torch.randn(*batch.input_ids.shape, model.llm.dim, generator=torch.Generator().manual_seed(0))
        hidden.requires_grad_()
        total = words.words_loss(model.llm, hidden, batch)
        total.backward()
        found.append((total.detach(), hidden.grad))

    assert_close(found[1], found[0])
