"""A model that starts from a role in a folder of roles: which one, and what is refused."""

from pathlib import Path

import pytest
import torch

from merv.errors import CheckpointError, ConfigError
from merv.models.base import ModelConfig
from merv.models.freeze import set_stage
from merv.models.qwen2_vl.adapters import adapter_lora
from merv.models.qwen2_vl.going_on import check_adapter_learns, check_same_base, lay_role, names_roles
from merv.models.qwen2_vl.publish import write_roles
from merv.models.stage import LoraConfig, StageConfig

from .role_folders import PREFIX, RANK, adapter, change_json, head, write_published
from .role_rows import LORA, all_roles, role_config, role_model

BASE = {"hidden_size": 128, "intermediate_size": 256, "num_layers": 2, "num_heads": 4}
BASE |= {"vision_dim": 64, "vision_depth": 2}
OWN = LoraConfig(RANK, 8.0, 0.0, ["q_proj", "k_proj", "v_proj", "o_proj"], ["embed_tokens", "lm_head"])
"""What the published folders of tests hold."""


@pytest.fixture
def published(tmp_path):
    return write_published(tmp_path / "published")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A folder of all roles."""
    folder = tmp_path_factory.mktemp("ours") / "roles"
    write_roles(all_roles(), folder)
    return folder


def like_published(role, **options):
    return ModelConfig.new(f"role-tiny-{role}", **options).build(seed=1)


def test_the_adapter_and_head_of_the_own_role_are_taken(published):
    model = like_published("grounder", head={})

    assert lay_role(published, model) == ["llm", "heads"]

    q = "model.language_model.layers.0.self_attn.q_proj"
    state, written = model.state_dict(), adapter(1, words=True)
    assert torch.equal(
        state[f"llm.model.{q}.lora_A.grounder.weight"],
        written[f"{PREFIX}model.layers.0.self_attn.q_proj.lora_A.weight"],
    )
    assert all(torch.equal(state[f"heads.grounder.{key.removeprefix(PREFIX)}"], t) for key, t in head().items())
    assert model.roles == ("grounder", "answerer")


def test_what_was_taken_learns_on_and_only_if_the_run_wants_the_same(published):
    model = like_published("grounder", head={})
    lay_role(published, model)

    with pytest.raises(ConfigError, match=r"lora.alpha is 32, but the adapter of role grounder to start from has 8"):
        set_stage(model, "finetune", StageConfig(lora=LoraConfig(**{**vars(OWN), "alpha": 32.0})))
    set_stage(model, "finetune", StageConfig(lora=OWN))

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"llm", "heads"}
    assert adapter_lora(model.llm.model, "grounder").dropout == 0.0  # 0.1 in the folder


def test_a_role_without_a_head_fills_the_llm_alone(ours):
    assert lay_role(ours, role_model("planner")) == ["llm"]


def test_a_role_the_folder_does_not_have_is_refused(published):
    with pytest.raises(CheckpointError, match=r"no adapter of role gqa to start from; it has planner, grounder, veri"):
        lay_role(published, like_published("gqa"))


def test_a_folder_for_another_base_is_refused(published, ours):
    with pytest.raises(CheckpointError, match=r"roles was trained on another base: tiny.seed is 7 there, 8 here"):
        lay_role(ours, role_model("planner", tiny={**vars(role_config("planner").tiny), "seed": 8}))
    change_json(published / "config.json", seg_s_token_id=3)
    with pytest.raises(CheckpointError, match=r"is for another tokenizer: seg_s_token_id is 3 there"):
        lay_role(published, like_published("planner"))


def test_another_protocol_or_wording_than_the_folders_is_told(published, ours, caplog):
    with caplog.at_level("WARNING"):
        lay_role(ours, role_model("planner"))
        assert caplog.messages == []
        lay_role(published, like_published("planner"))

    assert [line.partition("published ")[2] for line in caplog.messages] == [
        "was trained with protocol videomind, this run has merv; --model.protocol videomind goes on as it was",
        "was trained with wording videomind, this run has short; --model.wording videomind goes on as it was",
    ]


def config_on(base, **options):
    return ModelConfig.new("qwen2-vl", base=base, **options)


def test_bases_are_compared_by_their_last_names(tmp_path):
    check_same_base(config_on("model_zoo/Qwen2-VL-2B-Instruct"), config_on("Qwen/Qwen2-VL-2B-Instruct"), tmp_path)
    check_same_base(config_on("my-own"), config_on("Qwen/Qwen2-VL-2B-Instruct"), tmp_path)  # sizes will tell
    with pytest.raises(
        CheckpointError,
        match=r"was trained on another base: base is Qwen/Qwen2-VL-7B-Instruct there, Qwen/Qwen2-VL-2B-Ins",
    ):
        check_same_base(config_on("Qwen/Qwen2-VL-7B-Instruct"), config_on("Qwen/Qwen2-VL-2B-Instruct"), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"base is tiny there, Qwen/Qwen2-VL-2B-Instruct here; set --model.base tiny, or"
    ):
        check_same_base(config_on("tiny"), config_on("Qwen/Qwen2-VL-2B-Instruct"), tmp_path)


def test_a_folder_of_roles_is_told_from_a_run(published, tmp_path):
    assert names_roles(published)
    assert names_roles(Path("yeliudev/VideoMind-2B"))
    assert not names_roles(tmp_path)
    assert not names_roles(tmp_path / "none")
    (published / "model.safetensors").touch()
    assert not names_roles(published)


def test_a_stage_without_adapters_does_not_go_on_from_one():
    model = role_model("planner")
    check_adapter_learns(model, LoraConfig(), "full-finetune")
    model.add_adapters(LORA)
    check_adapter_learns(model, LORA, "finetune")

    with pytest.raises(
        ConfigError,
        match=r"lora.rank of stage full-finetune is 0, .* role planner to start from has 2; set --model.full_fine",
    ):
        check_adapter_learns(model, LoraConfig(), "full-finetune")
