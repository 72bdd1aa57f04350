import pytest
import torch

from merv.export.hf_folder import HfFolder, HfWeights
from merv.export.megatron import write_megatron
from merv.export.megatron_files import Layout, MegatronWeights
from merv.export.precision import Precision, check_precision, draw

from .tiny import IDS, TYPES, config_of, save_tiny

pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")


def precision_of(folder, out, layout, **options):
    hf = HfFolder(folder)
    write_megatron(HfWeights(hf), out, layout, **options)
    return check_precision(MegatronWeights(out, hf), hf)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", TYPES)
def test_logits_of_both_models_agree(model_type, tied, tiny, tmp_path):
    found = precision_of(tiny(model_type, tied=tied), tmp_path / "out", Layout(2, 2))

    assert found.passed
    assert found.difference < 1e-5
    assert found.rounding == 0
    assert [name for name, _ in found.layers] == ["embeddings", "layer 0", "layer 1", "layer 2", "layer 3"]
    assert list(found.lines())[1:] == []


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0},
        {
            "rope_type": "llama3",
            "rope_theta": 1e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_scaled_positions_agree(rope, tmp_path):
    folder = save_tiny("llama", tmp_path / "hf", rope_parameters=rope, head_dim=16)

    assert precision_of(folder, tmp_path / "out", Layout(2, 1)).difference < 1e-5


def test_rounding_is_told_and_hides_no_difference(tiny, tmp_path):
    found = precision_of(tiny("qwen2_vl"), tmp_path / "out", Layout(1, 2), dtype=torch.bfloat16)

    assert found.difference < 1e-5
    assert found.rounding > 1e-3


@pytest.mark.parametrize(("model_type", "layer"), [("qwen2", 2), ("qwen2_5_vl", 1)])
def test_a_changed_tensor_fails_and_the_lines_show_from_which_layer_on(model_type, layer, tiny, tmp_path):
    hf = HfFolder(tiny(model_type))
    write_megatron(HfWeights(hf), tmp_path / "out", Layout(1, 2))
    stage, local = divmod(layer, 2)
    file = tmp_path / "out" / "iter_0000001" / Layout(1, 2).file(stage, 0)
    state = torch.load(file, weights_only=False)
    state["model"][f"decoder.layers.{local}.self_attention.linear_qkv.bias"][-8:] += 0.5  # values of the last group
    torch.save(state, file)

    found = check_precision(MegatronWeights(tmp_path / "out", hf), hf)

    differences = dict(found.layers)
    assert not found.passed
    assert max(differences["embeddings"], *(differences[f"layer {n}"] for n in range(layer))) < 1e-5
    assert all(differences[f"layer {n}"] > 1e-3 for n in range(layer, 4))
    lines = list(found.lines())
    assert lines[0].startswith("precision test FAILED: largest logit difference ")
    assert [line.partition(":")[0].strip() for line in lines[1:]] == ["embeddings", *(f"layer {n}" for n in range(4))]


def test_changed_embeddings_of_words_fail_in_a_vision_language_model(tiny, tmp_path):
    hf = HfFolder(tiny("qwen2_vl"))
    write_megatron(HfWeights(hf), tmp_path / "out", Layout())
    file = tmp_path / "out" / "iter_0000001" / Layout().file(0, 0)
    state = torch.load(file, weights_only=False)
    state["model"]["embedding.word_embeddings.weight"] *= 1.1
    torch.save(state, file)

    assert not check_precision(MegatronWeights(tmp_path / "out", hf), hf).passed


def test_a_difference_that_is_no_number_fails():
    assert not Precision(float("nan"), 1e-4, 0.0, []).passed


def test_the_drawn_prompt_has_an_image_among_words_and_its_places_have_rows_and_columns(tiny):
    from transformers import AutoModelForImageTextToText

    batch = draw(config_of("qwen2_vl"), 151, 0, torch.device("cpu"))
    model = AutoModelForImageTextToText.from_pretrained(tiny("qwen2_vl"))
    vision = {name: tensor for name, tensor in batch.vision.items() if name != "pixel_values"}
    positions, _ = model.model.get_rope_index(batch.ids, **vision)

    assert (batch.ids == IDS["image_token_id"]).sum() == 24
    assert torch.equal(batch.ids == IDS["image_token_id"], batch.is_visual)
    time, row, column = positions[:, 0, batch.is_visual[0]]
    assert len(time.unique()) == 1
    assert (len(row.unique()), len(column.unique())) == (4, 6)


def test_the_same_seed_draws_the_same_prompt_and_plain_models_get_words_alone():
    one, same, other = (draw(config_of("llama"), 151, seed, torch.device("cpu")) for seed in (0, 0, 1))

    assert torch.equal(one.ids, same.ids)
    assert not torch.equal(one.ids, other.ids)
    assert one.vision == {}
    assert not one.is_visual.any()
