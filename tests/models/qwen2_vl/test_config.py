"""Configs of role models, and what they build."""

import pytest
import torch

import merv.conf.roles as presets
from merv.errors import ConfigError
from merv.models.base import ModelConfig
from merv.models.qwen2_vl.config import Qwen2VLConfig
from merv.models.qwen2_vl.roles import PIXELS, ROLES

from .role_rows import role_config

PUBLISHED = [f"videomind-{role}-{size}" for size in ("2b", "7b") for role in ROLES if role != "gqa"]
PUBLISHED += [f"mupa-{role}-{size}" for size in ("2b", "7b") for role in ("grounder", "verifier", "gqa")]
TINY = [f"role-tiny-{role}" for role in ROLES]


def test_every_preset_is_tested():
    named = {name for name, choice in ModelConfig.get_known_choices().items() if issubclass(choice, Qwen2VLConfig)}

    assert named - {"qwen2-vl"} == {*PUBLISHED, *TINY}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_names_its_base_role_and_budget(name):
    config = ModelConfig.new(name)

    role = name.split("-")[1]
    assert config.role == role
    assert config.base == f"Qwen/Qwen2-VL-{name[-2:].upper()}-Instruct"
    assert config.budgets() == {name: role.budget for name, role in ROLES.items()}
    assert config.wording == "videomind"
    assert config.timestamps == (role == "gqa")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_trains_as_published(name):
    config = ModelConfig.new(name)

    stage, role = config.finetune, config.role
    assert (stage.lora.rank, stage.lora.alpha, stage.lora.dropout) == (64, 64.0, 0.1)
    assert stage.lora.target_modules == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert stage.lora.modules_to_save == (["embed_tokens", "lm_head"] if ROLES[role].keeps_words else [])
    assert (stage.global_batch_size, stage.weight_decay, stage.warmup_ratio) == (32, 0.0, 0.03)
    assert stage.learning_rate == presets.RATES[role]
    assert config.full_finetune.lora.rank == config.align.lora.rank == 0


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_preset_is_built_without_a_network(name):
    model = ModelConfig.new(name).build()

    role = name.rpartition("-")[2]
    assert model.config.role == model.processor.role == role
    assert list(model.heads) == ([role] if ROLES[role].has_head else [])
    assert role in model.roles
    assert model.config.missing_weights() == []
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_heads_of_published_sizes_are_laid_out_without_memory():
    config = ModelConfig.new("videomind-grounder-2b", init="random", dtype="bfloat16")

    with torch.device("meta"):
        model = config.build()

    assert all(parameter.is_meta for parameter in model.parameters())
    assert len(model.blocks()) == 32 + 28
    assert model.llm.dim == 1536
    assert model.unpublished_parts() == {"vision", "llm", "heads"}


def test_the_same_seed_draws_the_same_head_and_another_another():
    heads = [role_config("grounder").build(seed=seed).heads.state_dict() for seed in (0, 0, 1)]

    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert any(not torch.equal(heads[0][name], heads[2][name]) for name in heads[0])


def test_the_base_does_not_depend_on_the_seed():
    one, other = (role_config("planner").build(seed=seed).state_dict() for seed in (0, 1))

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_building_leaves_the_generator_alone():
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)

    role_config("grounder").build()

    assert torch.equal(torch.rand(2), expected)


def test_a_budget_changes_for_the_own_role_alone():
    config = ModelConfig.new("videomind-grounder-2b", fps=0.5, max_frames=20, min_pixels=PIXELS, max_pixels=4 * PIXELS)

    budgets = config.budgets()

    own = budgets["grounder"]
    assert (own.fps, own.max_frames, own.min_pixels, own.max_pixels) == (0.5, 20, PIXELS, 4 * PIXELS)
    assert budgets["verifier"] == ROLES["verifier"].budget


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": -1.0}, r"fps -1, factor 28"),
        ({"max_frames": 1}, r"max_frames is 1; it must be at least 2"),
        ({"max_pixels": 100}, r"min_pixels \d+, max_pixels 100"),
        ({"max_length": 10}, r"max_length is 10 tokens; it must be at least 64$"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_anything_is_built(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        role_config("grounder", **options)

    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_refused_with_near_names():
    with pytest.raises(ConfigError, match="max_frame"):
        ModelConfig.new("role-tiny-grounder", max_framez=3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_learns_is_float32_on_a_base_of_any_type(dtype, tmp_path):
    from merv.models.freeze import set_stage

    config = role_config("grounder")
    source = config.build()
    from merv.models.qwen2_vl.tiny import tiny_base, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    tiny_base(config.tiny, tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = role_config("grounder", base="Qwen/Qwen2-VL-2B-Instruct", path=tmp_path, dtype=dtype).build()
    set_stage(model, "finetune", config.finetune)

    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {getattr(torch, dtype)}
    exact = source.llm.model.get_input_embeddings().weight.to(getattr(torch, dtype))
    assert torch.equal(model.llm.model.get_input_embeddings().original_module.weight[: len(exact) - 3], exact[:-3])


def test_a_published_base_that_is_missing_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("merv.backbones.llm.files.hub_is_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    config = ModelConfig.new("videomind-grounder-2b")

    [line] = config.missing_weights()
    with pytest.raises(ConfigError, match=r"--model.path DIR") as caught:
        config.fetch()

    assert "Qwen/Qwen2-VL-2B-Instruct" in line
    assert "\n" not in line + str(caught.value)
