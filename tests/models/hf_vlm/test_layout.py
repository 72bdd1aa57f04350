import pytest
from tiny_vlms import KINDS
from transformers import LlamaConfig, LlamaForCausalLM

from merv.errors import ConfigError
from merv.models.hf_vlm.layout import blocks_of, decoder_layers, parts_of, vision_of


def names_of(model, part):
    """Paths of the parameters a part holds."""
    held = {id(parameter) for parameter in part.parameters()}
    return {path for path, parameter in model.named_parameters() if id(parameter) in held}


@pytest.mark.parametrize("name", KINDS)
def test_every_parameter_belongs_to_a_part(name, tiny_model):
    model = tiny_model(name)

    parts = parts_of(model)

    assert set.union(*(names_of(model, part) for part in parts.values())) == dict(model.named_parameters()).keys()
    assert all(names_of(model, part) for part in parts.values())
    assert not names_of(model, parts["llm"]) & (names_of(model, parts["vision"]) | names_of(model, parts["projector"]))


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("qwen2-vl", ("model.visual.merger.",)),
        ("qwen2.5-vl", ("model.visual.merger.",)),
        ("aria", ("model.multi_modal_projector.",)),
        ("llava", ("model.multi_modal_projector.",)),
    ],
)
def test_the_projector_is_what_stands_between(name, prefixes, tiny_model):
    model = tiny_model(name)

    found = names_of(model, parts_of(model)["projector"])

    assert found == {path for path in dict(model.named_parameters()) if path.startswith(prefixes)}


@pytest.mark.parametrize("name", KINDS)
def test_the_head_is_part_of_the_language_model(name, tiny_model):
    model = tiny_model(name)

    assert "lm_head.weight" in names_of(model, parts_of(model)["llm"])


@pytest.mark.parametrize(("name", "layers"), [("qwen2-vl", 2), ("qwen2.5-vl", 2), ("aria", 2), ("llava", 3)])
def test_blocks_are_the_layers_of_tower_and_decoder(name, layers, tiny_model):
    model = tiny_model(name)
    parts = parts_of(model)

    vision, llm = blocks_of(parts["vision"]), blocks_of(parts["llm"])

    assert len(vision) == layers
    assert [id(block) for block in llm] == [id(layer) for layer in model.get_decoder().layers]


def test_a_model_without_a_vision_tower_is_refused_in_one_line():
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    )

    assert vision_of(model) is None
    with pytest.raises(ConfigError, match="LlamaForCausalLM has no vision tower"):
        parts_of(model)


def test_a_layer_that_is_not_there_is_named_with_those_that_are(tiny_model):
    model = tiny_model("llava")

    assert decoder_layers(model, [1]) == [model.get_decoder().layers[1]]
    with pytest.raises(ConfigError, match=r"freeze_llm_layers names layer 2; the language model has 0 to 1"):
        decoder_layers(model, [0, 2])
