import pytest
import torch
from torch import nn
from torch.testing import assert_close

from merv.backbones.llm.base import LLMConfig
from merv.errors import ConfigError
from merv.models.lora import add_lora, linear_names, merge_lora
from merv.models.stage import LoraConfig

LINEAR = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def llama(seed=0):
    torch.manual_seed(seed)
    return LLMConfig.new("tiny-llama", hidden_size=32, intermediate_size=48, num_layers=2).build().model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None]).logits


def disturb(model):
    """Make the adapters do something: they begin as zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


def test_only_adapters_learn_and_they_begin_without_effect():
    model, plain = llama(), llama()

    add_lora(model, LoraConfig(rank=3))

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in model.named_parameters() if "lora_" in name}
    assert len(learning) == 2 * 2 * len(LINEAR)  # A and B in each linear layer of two blocks
    assert_close(logits(model), logits(plain), atol=0, rtol=0)


def test_every_linear_layer_but_the_head_is_named():
    model = llama()

    assert linear_names(model) == LINEAR
    assert isinstance(model.get_output_embeddings(), nn.Linear)


def test_target_modules_choose_the_layers():
    model = llama()

    add_lora(model, LoraConfig(rank=2, target_modules=["q_proj"]))

    adapted = {name.split(".lora_")[0] for name, _ in model.named_parameters() if "lora_" in name}
    assert {name.rpartition(".")[2] for name in adapted} == {"q_proj"}
    assert len(adapted) == 2


def test_a_merged_model_is_plain_again_and_gives_the_same_logits():
    model = llama()
    names = set(model.state_dict())
    add_lora(model, LoraConfig(rank=4, alpha=16.0))
    disturb(model)
    adapted = logits(model.eval())

    merge_lora(model)

    assert set(model.state_dict()) == names
    assert_close(logits(model), adapted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(adapted, logits(llama()), atol=1e-2)


def test_alpha_over_rank_scales_the_update():
    plain = llama().model.layers[0].self_attn.q_proj.weight
    updates = []
    for alpha in (4.0, 8.0):
        model = llama()
        torch.manual_seed(2)
        add_lora(model, LoraConfig(rank=2, alpha=alpha))
        disturb(model)
        merge_lora(model)
        updates.append(model.model.layers[0].self_attn.q_proj.weight - plain)

    assert updates[0].norm() > 0.01
    assert_close(updates[1], 2 * updates[0], atol=1e-6, rtol=1e-4)


def test_dropout_acts_in_training_only():
    model = llama()
    add_lora(model, LoraConfig(rank=4, dropout=0.5))
    disturb(model)

    first, second = logits(model.train()), logits(model)
    steady, again = logits(model.eval()), logits(model)

    assert not torch.equal(first, second)
    assert_close(steady, again, atol=0, rtol=0)


def test_unknown_target_modules_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="query_proj") as caught:
        add_lora(llama(), LoraConfig(rank=2, target_modules=["query_proj"]))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"rank": -1}, {"rank": 2, "dropout": 1.0}, {"rank": 2, "dropout": -0.1}])
def test_numbers_that_cannot_work_are_refused(options):
    with pytest.raises(ConfigError, match=r"lora: rank .* must be >= 0 and dropout .* in \[0, 1\)"):
        LoraConfig(**options)
