import copy
from unittest import mock

import pytest
import torch
from models.qwen2_vl.role_rows import role_model, stir
from torch.testing import assert_close

from merv.models.freeze import checkpoint_activations, set_stage
from merv.models.stage import LoraConfig, StageConfig
from merv.rl.policy import Policy, make_policy
from merv.rl.reference import Reference

from .prompted_models import KINDS, Prompted, other_pixels, prompted, rollouts

LORA = LoraConfig(rank=2, dropout=0.0)


@pytest.fixture
def tiny(request, tmp_path):
    return prompted(request.param, tmp_path)


def learning(tiny: Prompted, lora: LoraConfig | None = None) -> Prompted:
    """The model as a finetune stage begins it; of the role models an answerer without adapters."""
    if hasattr(tiny.model, "roles"):
        model = role_model("answerer")
        model.processor.budgets = tiny.model.processor.budgets
        tiny = Prompted(model, tiny.samples)
    set_stage(tiny.model, "finetune", StageConfig(lora=lora or LoraConfig()))
    return tiny


def answers(asked, each=2, width=4, **more):
    generator = torch.Generator().manual_seed(3)
    count = asked.size * each
    completions = torch.randint(5, 60, (count, width), generator=generator)
    learned = torch.arange(width) < torch.randint(1, width + 1, (count, 1), generator=generator)
    return rollouts(asked, completions, learned, torch.randn(count, generator=generator), **more)


def direct(model, batch, reference=None, beta=0.0, temperature=1.0):
    """GRPO's loss with plain softmax, one answer at a time."""
    losses = []
    each = batch.num_generations
    for number, (ids, learned) in enumerate(zip(batch.completions, batch.learned, strict=True)):
        length = int(learned.sum())
        found = []
        for speaker in [model] if reference is None else [model, reference]:
            prompts = speaker.prompts(batch.asked).choose(slice(number // each, number // each + 1))
            at = int(prompts.mask[0].int().argmax())
            words = speaker.language.embed(ids[None, :length])
            embeds = torch.cat([prompts.embeds[:, at:], words], dim=1)
            positions = None
            if prompts.positions is not None:
                new = prompts.positions[:, :, -1:] + torch.arange(1, length + 1)
                positions = torch.cat([prompts.positions[:, :, at:], new], dim=2)
            logits = speaker.language.logits(speaker.language(embeds, None, positions))[0, -length - 1 : -1]
            found.append((logits / temperature).log_softmax(-1)[torch.arange(length), ids[:length]])
        own = found[0]
        tokens = -(own - own.detach()).exp() * batch.advantages[number]
        if reference is not None:
            difference = found[1].detach() - own
            tokens = tokens + beta * (difference.exp() - difference - 1)
        losses.append(tokens.mean())
    return torch.stack(losses).sum()


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tiny", KINDS, indirect=True)
@pytest.mark.parametrize(("beta", "temperature"), [(0.0, 1.0), (0.5, 0.7)])
def test_the_loss_and_its_gradients_are_those_of_a_direct_computation(tiny, beta, temperature):
    tiny = learning(tiny)
    start = copy.deepcopy(tiny.model)
    policy = make_policy(tiny.model, beta=beta, temperature=temperature)
    with torch.no_grad():  # so that it is no longer the reference
        for parameter in policy.language.parameters():
            parameter += 0.02 * torch.sin(torch.arange(parameter.numel())).view_as(parameter)
    batch = answers(tiny.batch(0, 1, 2))

    output = policy(batch)
    found = gradients(policy, output.loss_sum)
    expected = direct(policy, batch, start if beta else None, beta, temperature)

    assert_close(output.loss_sum, expected, rtol=1e-4, atol=1e-5)
    for name, gradient in gradients(policy, expected).items():
        assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert ("kl" in output.logged) == bool(beta)
    assert not beta or output.logged["kl"] > 0


@pytest.mark.parametrize("tiny", KINDS, indirect=True)
@pytest.mark.parametrize("row", [0, 1])
def test_changing_the_pixels_changes_the_gradients(tiny, row):
    tiny = learning(tiny)
    policy = make_policy(tiny.model, beta=0.0, temperature=1.0)
    asked = tiny.batch(row)

    first, second = (gradients(policy, policy(answers(batch)).loss_sum) for batch in (asked, other_pixels(asked)))

    moved = [name for name in first if not torch.allclose(first[name], second[name], atol=1e-6)]
    assert len(moved) > 0.5 * len(first)


@pytest.mark.parametrize("tiny", KINDS, indirect=True)
def test_a_group_shares_one_encoding(tiny):
    tiny = learning(tiny)
    policy = make_policy(tiny.model, beta=0.0, temperature=1.0)
    shapes = []
    policy.blocks()[0].register_forward_hook(lambda module, args, output: shapes.append(_size(output)))

    policy(answers(tiny.batch(0), each=1))
    policy(answers(tiny.batch(0), each=6))

    assert len(shapes) == 2
    assert shapes[0] == shapes[1], "six answers show the encoder no more than one"


def _size(output):
    return (output if isinstance(output, torch.Tensor) else output[0]).numel()


@pytest.mark.parametrize("tiny", ["merv", "role"], indirect=True)
def test_prompts_that_were_encoded_for_sampling_give_the_same_gradients_where_they_do_not_learn(tiny):
    tiny = learning(tiny, LORA)
    policy = make_policy(tiny.model, beta=0.0, temperature=1.0)
    stir(policy, of="lora_")
    asked = tiny.batch(0, 1)
    with torch.no_grad():
        prompts = policy.prompts(asked)

    reused = gradients(policy, policy(answers(asked, prompts=prompts)).loss_sum)
    with mock.patch.object(type(policy), "prompts", side_effect=AssertionError):
        policy(answers(asked, prompts=prompts))
    again = gradients(policy, policy(answers(asked)).loss_sum)

    adapters = {name for name in again if "lora_" in name}
    assert adapters
    for name in adapters:
        assert_close(reused[name], again[name])


def test_other_batches_go_through_the_family_as_before(tmp_path):
    tiny = prompted("merv", tmp_path)
    trained = tiny.batch(0, 1, answer=True, pad="right")
    with torch.no_grad():
        before = tiny.model(trained)
        names = list(tiny.model.state_dict())

        policy = make_policy(tiny.model, beta=0.0, temperature=1.0)

        assert torch.equal(policy(trained).loss_sum, before.loss_sum)
    assert isinstance(policy, Policy)
    assert policy is tiny.model
    assert list(policy.state_dict()) == names


def parameters_of(module):
    return sum(p.numel() for p in module.parameters())


def test_the_reference_copies_what_learns_and_shares_the_rest(tmp_path):
    tiny = learning(prompted("merv", tmp_path))

    reference = Reference(tiny.model)

    assert set(reference.copied) == {"projectors", "fusion", "llm"}
    assert reference.model.video_backbones is tiny.model.video_backbones
    assert reference.model.llm is not tiny.model.llm
    assert not any(p.requires_grad for p in reference.parameters())
    blocks = reference.blocks(tiny.model.blocks())
    assert len(blocks) == len(tiny.model.llm.blocks())


def test_fresh_adapters_are_silenced_and_nothing_is_copied(tmp_path):
    model = role_model("answerer")
    set_stage(model, "finetune", StageConfig(lora=LORA))
    processor = model.processor
    tiny = Prompted(model, prompted("role", tmp_path).samples)
    processor.budgets = dict(processor.budgets)
    asked = answers(tiny.batch(0, 1))
    policy = make_policy(model, beta=1.0, temperature=1.0)
    assert parameters_of(policy.reference) == 0
    before = policy._of_reference(asked)

    stir(policy.llm, of="lora_")

    assert_close(policy._of_reference(asked), before)
    assert policy(asked).logged["kl"] > 1e-3
    policy(asked).loss_sum.backward()
    assert all(p.grad is not None and p.grad.any() for name, p in policy.llm.named_parameters() if "lora_" in name)


def test_an_adapter_that_learns_on_is_copied_as_it_was(tmp_path):
    model = role_model("answerer")
    set_stage(model, "finetune", StageConfig(lora=LORA))
    stir(model.llm, of="lora_")
    tiny = Prompted(model, prompted("role", tmp_path).samples)
    asked = answers(tiny.batch(0))
    policy = make_policy(model, beta=1.0, temperature=1.0)
    before = policy(asked).logged["kl"]

    stir(policy.llm, 5, of="lora_")

    assert before == 0
    assert set(policy.reference.copied) == {"llm"}
    assert policy(asked).logged["kl"] > 1e-3


def test_recomputing_activations_changes_nothing(tmp_path):
    tiny = learning(prompted("merv", tmp_path))
    asked = tiny.batch(0, 1)
    policy = make_policy(tiny.model, beta=0.5, temperature=1.0)
    plain = gradients(policy, policy(answers(asked)).loss_sum)

    checkpoint_activations(policy)
    found = gradients(policy, policy(answers(asked)).loss_sum)

    for name, gradient in plain.items():
        found_name = name.replace("layers.0.", "layers.0._checkpoint_wrapped_module.").replace(
            "layers.1.", "layers.1._checkpoint_wrapped_module."
        )
        assert_close(found.get(found_name, found.get(name)), gradient)


def test_tokens_are_counted_with_every_answer(tmp_path):
    tiny = prompted("merv", tmp_path)
    policy = make_policy(tiny.model, beta=0.0, temperature=1.0)
    asked = tiny.batch(0)
    batch = answers(asked, each=3)

    alone, counted = policy.station_tokens(asked), policy.station_tokens(batch)

    words = int(batch.learned.sum())
    assert counted["llm"] == 3 * alone["llm"] + words
    assert {**counted, "llm": 0} == {**alone, "llm": 0}
    assert (batch.size, batch.num_text_tokens()) == (1, asked.num_text_tokens() + words)
