import pytest

from merv.errors import ConfigError
from merv.models.hf_vlm.layout import parts_of
from merv.models.hf_vlm.lora_targets import find_targets


def frozen(model, *names):
    """The model with some of its parts frozen."""
    for name in names:
        parts_of(model)[name].requires_grad_(False)
    return model


def test_a_short_name_means_every_layer_so_called(tiny_model):
    targets = find_targets(tiny_model("qwen2.5-vl"), ["q_proj", "lm_head"])

    assert targets.modules == [
        "lm_head",
        "model.language_model.layers.0.self_attn.q_proj",
        "model.language_model.layers.1.self_attn.q_proj",
    ]
    assert targets.parameters == []


def test_frozen_parts_are_skipped(tiny_model):
    model = frozen(tiny_model("aria"), "vision", "projector")

    targets = find_targets(model, ["q_proj", "out_proj", "fc1", "linear"])

    assert targets.modules == [f"model.language_model.layers.{i}.self_attn.q_proj" for i in range(2)]


def test_a_single_frozen_layer_is_skipped(tiny_model):
    model = tiny_model("llava")
    model.get_decoder().layers[0].requires_grad_(False)

    targets = find_targets(model, ["down_proj"])

    assert targets.modules == ["model.language_model.layers.1.mlp.down_proj"]


def test_fused_experts_are_found_by_the_names_of_their_weights(tiny_model):
    model = frozen(tiny_model("aria"), "vision", "projector")

    targets = find_targets(model, ["gate_up_proj", "down_proj"])

    experts = [f"model.language_model.layers.{i}.mlp.experts." for i in range(2)]
    assert targets.parameters == sorted(path + name for path in experts for name in ("gate_up_proj", "down_proj"))
    assert targets.modules == [f"model.language_model.layers.{i}.mlp.shared_experts.down_proj" for i in range(2)]


def test_no_names_mean_all_linear_layers_but_the_head(tiny_model):
    model = frozen(tiny_model("qwen2-vl"), "vision")

    last = {path.rpartition(".")[2] for path in find_targets(model, []).modules}

    assert last == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_an_unknown_name_is_refused_with_the_list(tiny_model):
    with pytest.raises(ConfigError, match=r"names `q_prj`, which this model does not have; did you mean `q_proj`"):
        find_targets(tiny_model("llava"), ["q_prj"])


def test_names_that_are_all_frozen_are_refused(tiny_model):
    model = frozen(tiny_model("aria"), "vision", "projector")

    with pytest.raises(ConfigError, match="fc1: all of them are frozen"):
        find_targets(model, ["fc1"])
