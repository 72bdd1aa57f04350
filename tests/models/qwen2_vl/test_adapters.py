"""Which adapter speaks: switched without loading, row by row if need be, and the base alone is unchanged."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from merv.errors import ConfigError
from merv.models.lora import add_lora
from merv.models.qwen2_vl.adapters import adapter_lora, adapter_names, go_on_learning, speaking, wanted_places
from merv.models.qwen2_vl.tiny import TinyBaseConfig, tiny_base, tiny_tokenizer
from merv.models.stage import LoraConfig

from .role_rows import LORA, WORDS, stir

NAMES = ["planner", "grounder", "verifier", "nobody"]


@pytest.fixture(scope="module")
def bare():
    """A language model without adapters."""
    sizes = TinyBaseConfig(hidden_size=32, intermediate_size=48, num_heads=2, vision_dim=16, vision_depth=1)
    return tiny_base(sizes, tiny_tokenizer()).eval()


@pytest.fixture
def model(bare):
    """The same with three adapters: of other places, other ranks, one without words of its own."""
    own = type(bare)(bare.config).eval()
    own.load_state_dict(bare.state_dict())
    add_lora(own, LORA, "planner")
    add_lora(own, WORDS, "grounder")
    add_lora(own, LoraConfig(**{**vars(WORDS), "rank": 4, "target_modules": ["v_proj"]}), "verifier")
    for seed, name in enumerate(NAMES):
        stir(own, seed, of=f".{name}.")
    return own


IDS = torch.arange(24).view(4, 6)


@torch.no_grad()
def say(model, rows, ids=IDS):
    with speaking(model, rows):
        return model(input_ids=ids, use_cache=False).logits


def test_names_are_those_added(model, bare):
    assert adapter_names(model) == {"planner", "grounder", "verifier"}
    assert adapter_names(bare) == set()


def test_an_adapter_tells_what_it_was_added_with(model, bare):
    found = {name: adapter_lora(model, name) for name in NAMES}

    assert found["nobody"] is adapter_lora(bare, "planner") is None
    assert [found[name].rank for name in NAMES[:3]] == [2, 2, 4]
    assert found["grounder"] == changed(target_modules=wanted_places(bare, WORDS))
    assert found["planner"] == LoraConfig(**{**vars(LORA), "target_modules": wanted_places(bare, LORA)})
    assert found["verifier"].target_modules == [
        f"model.language_model.layers.{layer}.self_attn.v_proj" for layer in range(2)
    ]


@pytest.mark.parametrize("names", [[], ["q_proj", "down_proj"], ["lm_head"], ["layers.1.self_attn.q_proj"]])
def test_places_are_the_same_with_and_without_adapters(model, bare, names):
    lora = LoraConfig(rank=2, target_modules=names)

    assert wanted_places(model, lora) == wanted_places(bare, lora) != []
    assert ("lm_head" in wanted_places(bare, lora)) == (names == ["lm_head"])


def changed(**values):
    return LoraConfig(**{**vars(WORDS), **values})


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"rank": 3}, "lora.rank is 3, but the adapter of role grounder to start from has 2; only lora.dropout may"),
        ({"alpha": 16.0}, "lora.alpha is 16, but the adapter of role grounder to start from has 8;"),
        ({"modules_to_save": []}, "lora.modules_to_save is none, but .* from has embed_tokens, lm_head;"),
        ({"modules_to_save": ["lm_head"]}, "lora.modules_to_save is lm_head, but .* from has embed_tokens, lm_head;"),
        ({"target_modules": ["q_proj"]}, "lora.target_modules is q_proj, but .* from has q_proj, up_proj;"),
        ({"target_modules": []}, r"lora.target_modules is .*down_proj, .*, \.\.\., but .* from has q_proj, up_proj;"),
        (
            {"target_modules": ["q_proj", "layers.0.mlp.up_proj"]},
            r"lora.target_modules is none, but .* from has model.language_model.layers.1.mlp.up_proj;",
        ),
    ],
)
def test_an_adapter_does_not_go_on_as_another_one(model, wanted, line):
    with pytest.raises(ConfigError, match=line) as caught:
        go_on_learning(model, "grounder", changed(**wanted))

    assert "\n" not in str(caught.value)


def test_an_adapter_goes_on_learning_alone_with_the_dropout_that_is_wanted(model):
    same = changed(dropout=0.3, modules_to_save=["lm_head", "embed_tokens"], target_modules=["up_proj", "q_proj"])

    go_on_learning(model, "grounder", same)

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(".grounder." in name for name in learning)
    assert (adapter_lora(model, "grounder").dropout, adapter_lora(model, "planner").dropout) == (0.3, 0.0)
    go_on_learning(model, "grounder", WORDS)
    assert adapter_lora(model, "grounder").dropout == 0.0


def test_who_has_no_adapter_speaks_as_the_bare_base(model, bare):
    assert torch.equal(say(model, ["nobody"] * 4), say(bare, ["nobody"] * 4))
    say(model, ["grounder"] * 4)
    assert torch.equal(say(model, ["nobody"] * 4), say(bare, ["nobody"] * 4))


def test_roles_speak_differently(model):
    said = [say(model, [name] * 4) for name in NAMES]

    for number, one in enumerate(said):
        assert all((one - other).abs().max() > 0.05 for other in said[number + 1 :])


def test_switching_back_gives_the_same_words(model):
    before = say(model, ["grounder"] * 4)
    for name in NAMES:
        say(model, [name] * 4)
    say(model, ["planner", "grounder", "verifier", "nobody"])

    assert torch.equal(say(model, ["grounder"] * 4), before)


@pytest.mark.parametrize("rows", [NAMES, NAMES[::-1], ["grounder", "nobody", "grounder", "planner"]], ids=str)
def test_rows_of_a_batch_speak_as_they_do_alone(model, rows):
    together = say(model, rows)

    for number, name in enumerate(rows):
        assert_close(together[number : number + 1], say(model, [name], IDS[number : number + 1]))


def test_only_the_one_that_learns_gets_gradients(model):
    from merv.models.lora import learn_adapter

    learn_adapter(model, "grounder")
    model.train()
    say(model.eval(), ["planner"] * 4)
    model.train()
    with speaking(model, ["grounder"] * 4):
        model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()

    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert with_gradient == learning
    assert all(".grounder." in name for name in learning)
    assert any("lm_head" in name for name in learning)


def test_switching_in_training_does_not_freeze_what_learns(model):
    from merv.models.lora import learn_adapter

    learn_adapter(model, "grounder")
    model.train()
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]

    with speaking(model, ["grounder"] * 4):
        pass

    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == learning


def test_asking_another_role_while_training_leaves_what_learns_as_it_was(model):
    """Evaluation between steps asks every role; the next step trains the same parameters."""
    from merv.models.lora import learn_adapter

    learn_adapter(model, "grounder")
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    for rows in (["planner"] * 4, NAMES, ["nobody"] * 4):
        say(model.eval(), rows)
    model.train()
    with speaking(model, ["grounder"] * 4):
        pass

    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == learning


def test_a_model_without_adapters_speaks_as_it_is(bare):
    found = say(bare, ["planner", "grounder", "verifier", "nobody"])

    assert torch.equal(found, say(bare, ["nobody"] * 4))
    assert isinstance(bare.lm_head, nn.Linear)
