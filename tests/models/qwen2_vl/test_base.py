"""Bases from folders in the published layout: as transformers writes it today, and as it stood in 2024."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from merv.backbones.llm import zoo
from merv.errors import CheckpointError, ConfigError
from merv.models.qwen2_vl import base as bases
from merv.models.qwen2_vl.tiny import TinyBaseConfig, tiny_base, tiny_tokenizer
from merv.models.qwen2_vl.tokens import NEW_TOKENS

REPO = "Qwen/Qwen2-VL-2B-Instruct"
PATHS = {"dtype": "float32", "attention": "sdpa"}


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path):
    """Nothing is fetched, the cache is empty, and the folder beside the run holds nothing."""
    monkeypatch.setattr("merv.backbones.llm.files.hub_is_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


def small(**options):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "vision_dim": 16, "vision_depth": 1}
    return TinyBaseConfig(**{**sizes, **options})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder as transformers writes it, and the model it came from."""
    folder, tokenizer = tmp_path_factory.mktemp("saved"), tiny_tokenizer()
    model = tiny_base(small(), tokenizer).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, model


def as_published(folder, saved, *, tied=False):
    """The same in the layout of 2024: sizes of the LLM beside those of the tower, and the names of 4.45."""
    source, model = saved
    text = model.config.text_config
    flat = {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        "hidden_act": "silu",
        **{name: getattr(text, name) for name in ("hidden_size", "intermediate_size", "vocab_size", "rms_norm_eps")},
        **{name: getattr(text, name) for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")},
        "max_position_embeddings": 4096,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": text.rope_parameters["mrope_section"]},
        "tie_word_embeddings": tied,
        "eos_token_id": text.eos_token_id,
        "vision_config": {
            **{name: getattr(model.config.vision_config, name) for name in ("depth", "embed_dim", "mlp_ratio")},
            "hidden_size": text.hidden_size,
            "num_heads": 2,
            "in_chans": 3,
            "model_type": "qwen2_vl",
            "spatial_patch_size": 14,
        },
        **{name: getattr(model.config, name) for name in ("vision_start_token_id", "vision_end_token_id")},
        **{name: getattr(model.config, name) for name in ("image_token_id", "video_token_id")},
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(flat))
    for file in source.glob("*token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    weights = {}
    for name, tensor in model.state_dict().items():
        old = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        if not (tied and name.startswith("lm_head.")):
            weights[old] = tensor.clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def loaded(folder):
    return bases.published_base(REPO, folder, **PATHS)


def rows(model):
    """Logits of a row with a video of two steps."""
    ids = torch.tensor([[5, *[model.config.video_token_id] * 2, 6, 7]])
    pixels = torch.randn(8, 1176, generator=torch.Generator().manual_seed(0))
    kinds = 2 * (ids == model.config.video_token_id).int()
    with torch.no_grad():
        return model(
            input_ids=ids,
            pixel_values_videos=pixels,
            video_grid_thw=torch.tensor([[2, 2, 2]]),
            mm_token_type_ids=kinds,
        ).logits


def test_what_transformers_saves_is_read_back_as_it_is(saved):
    folder, expected = saved

    model, tokenizer = loaded(folder)

    assert_close(model.state_dict(), expected.state_dict(), atol=0, rtol=0)
    assert torch.equal(rows(model.eval()), rows(expected))
    assert tokenizer("Is it a ring?").input_ids == tiny_tokenizer()("Is it a ring?").input_ids


def test_the_published_layout_of_2024_is_the_same_model(saved, tmp_path):
    model, _ = loaded(as_published(tmp_path / "published", saved))

    assert_close(model.state_dict(), saved[1].state_dict(), atol=0, rtol=0)
    assert torch.equal(rows(model.eval()), rows(saved[1]))


def test_a_tied_base_shares_head_and_embeddings(saved, tmp_path):
    model, tokenizer = loaded(as_published(tmp_path / "published", saved, tied=True))
    bases.with_tokens(model, tokenizer)

    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert len(model.lm_head.weight) == len(tokenizer)


def test_answers_are_greedy_whatever_the_folder_says(saved, tmp_path):
    folder = as_published(tmp_path / "published", saved)
    sampling = {"do_sample": True, "temperature": 0.01, "repetition_penalty": 1.05, "top_k": 1}
    (folder / "generation_config.json").write_text(json.dumps(sampling))

    model, _ = loaded(folder)

    assert not model.generation_config.do_sample
    assert model.generation_config.repetition_penalty in (None, 1.0)


def test_another_kind_of_model_is_refused_in_one_line(saved, tmp_path):
    folder = as_published(tmp_path / "published", saved)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "qwen2"}))

    with pytest.raises(ConfigError, match=r"config.json is of a qwen2; role models need a qwen2_vl$"):
        loaded(folder)


def test_weights_of_another_size_are_refused(saved, tmp_path):
    folder = as_published(tmp_path / "published", saved)
    weights = load_file(folder / "model.safetensors")
    weights["visual.patch_embed.proj.weight"] = torch.zeros(2, 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError) as caught:
        loaded(folder)

    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused(saved, tmp_path):
    folder = as_published(tmp_path / "published", saved)
    weights = load_file(folder / "model.safetensors")
    del weights["visual.merger.ln_q.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError):
        loaded(folder)


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused_in_one_line(saved, tmp_path, lost):
    folder = as_published(tmp_path / "published", saved)
    (folder / lost).unlink()

    with pytest.raises(ConfigError, match=rf"^base `{REPO}`: .* lacks .*; set --model.path DIR") as caught:
        loaded(folder)

    assert "\n" not in str(caught.value)
    assert zoo.missing_line(REPO, folder).startswith(f"base `{REPO}`: {folder} lacks ")


def test_a_base_that_is_nowhere_is_told_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"--model.path DIR") as caught:
        zoo.folder_of(REPO, None)

    assert REPO in str(caught.value)
    assert REPO in zoo.missing_line(REPO, None)
    with pytest.raises(ConfigError, match=r"nowhere does not exist; set --model.path DIR"):
        zoo.folder_of(REPO, tmp_path / "nowhere")
    assert "it does not exist" in zoo.missing_line(REPO, tmp_path / "nowhere")


def test_model_zoo_beside_the_run_is_looked_into_first(saved, tmp_path):
    (tmp_path / "model_zoo").mkdir()
    as_published(tmp_path / "model_zoo" / "Qwen2-VL-2B-Instruct", saved)

    assert zoo.folder_of(REPO, None) == zoo.ZOO / "Qwen2-VL-2B-Instruct"
    assert zoo.missing_line(REPO, None) is None


@pytest.mark.parametrize("repo", bases.SHAPES)
def test_the_shapes_of_published_bases_are_theirs(repo):
    with torch.device("meta"):
        model, tokenizer = bases.random_base(repo, None, stand_in="stand-in", dtype="bfloat16", attention="sdpa")

    # 2.2 and 8.3 billion parameters, as their index of weights says.
    assert (
        sum(parameter.numel() for parameter in model.parameters())
        == {"2B": 2208985600, "7B": 8291375616}[repo.split("-")[2]]
    )
    assert model.dtype == torch.bfloat16
    assert tokenizer == "stand-in"


def test_a_random_base_takes_its_shape_from_a_folder(saved):
    model, _ = bases.random_base("someone/else", saved[0], stand_in=None, **PATHS)

    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in saved[1].state_dict().items()}


def test_a_random_base_of_unknown_shape_is_refused():
    with pytest.raises(ConfigError, match="init random: the shape of `someone/else` is not known; name a folder"):
        bases.random_base("someone/else", None, stand_in=None, **PATHS)


def test_new_tokens_begin_at_the_mean_of_the_known_ones():
    tokenizer = tiny_tokenizer()
    model = tiny_base(small(), tokenizer)
    known = len(tokenizer)
    before = [module.weight.detach().clone() for module in (model.get_input_embeddings(), model.lm_head)]

    bases.with_tokens(model, tokenizer)

    for module, old in zip((model.get_input_embeddings(), model.lm_head), before, strict=True):
        assert torch.equal(module.weight[:known], old)
        assert_close(module.weight[known:], old.mean(0).expand(len(NEW_TOKENS), -1))


def test_tokens_that_are_known_change_nothing():
    tokenizer = tiny_tokenizer()
    model = tiny_base(small(), tokenizer)
    bases.with_tokens(model, tokenizer)
    before = model.lm_head.weight.detach().clone()

    bases.with_tokens(model, tokenizer)

    assert torch.equal(model.lm_head.weight, before)


def test_without_its_tower_a_base_is_a_language_model():
    model = tiny_base(small(), tiny_tokenizer())

    tower = bases.take_vision(model)

    assert tower.config.embed_dim == 16
    assert not any("visual" in name for name in model.state_dict())
