import shutil
from pathlib import Path

import pytest
import torch
from backbones.llm_folder import save_llm
from helpers import course, run_words, train
from models.qwen2_vl.role_rows import role_config
from safetensors.torch import load_file

from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.models.base import ModelConfig
from merv.runs.assemble import starting_model
from merv.runs.export_roles import ExportRolesConfig, export_roles
from merv.runs.folder import check_identity, find_parent, identity
from merv.runs.pretrain_config import PretrainConfig

from .test_export_roles import write_run


def test_a_run_goes_on_when_its_published_weights_lie_elsewhere(synthetic_data, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    save_llm(here, max_position_embeddings=512)

    def words(folder, steps):
        named = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(folder))
        return run_words(synthetic_data, tmp_path, "run", *named, max_steps=steps)

    train(words(here, 1))
    shutil.move(here, there)
    train(words(there, 2))

    assert [step for step, *_ in course(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize(("option", "value"), [("compile_blocks", "true"), ("enable_gradient_checkpointing", "true")])
def test_how_a_model_is_computed_is_no_part_of_what_it_is(tmp_path, option, value):
    plain = parse(PretrainConfig, ["--model.type", "merv-tiny"])
    changed = parse(PretrainConfig, ["--model.type", "merv-tiny", f"--model.{option}", value])

    assert identity(changed) == identity(plain)


def test_another_protocol_is_another_model(tmp_path):
    plain = parse(PretrainConfig, ["--model.type", "merv-tiny"])
    other = parse(PretrainConfig, ["--model.type", "merv-tiny", "--model.protocol", "reference"])

    with pytest.raises(CheckpointError, match=r"model\.protocol is merv there, reference here"):
        check_identity(other, {"identity": identity(plain)}, tmp_path)


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    """A grounder's run, a verifier's, and a folder of both roles."""
    root = tmp_path_factory.mktemp("roles")
    runs = {role: write_run(root, role) for role in ("grounder", "verifier")}
    export_roles(ExportRolesConfig(list(runs.values()), root / "joined"))
    return {**runs, "joined": root / "joined"}


def next_run(tmp_path, start, role="grounder", stage="finetune", **options):
    """A run that goes on from `start`; `options` are those of the model."""
    return PretrainConfig(
        model=role_config(role, **options),
        stage=stage,
        run_id="next",
        run_root_dir=tmp_path,
        pretrained_checkpoint=start,
    )


@pytest.mark.parametrize("start", ["grounder", "joined"])
def test_a_role_goes_on_from_a_run_or_a_folder_of_roles_with_the_same_weights(roles, tmp_path, start):
    begun = starting_model(next_run(tmp_path, roles[start]))

    state, before = begun.model.state_dict(), load_file(roles["grounder"] / "model.safetensors")
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())
    assert begun.parents == [str(roles[start])]
    assert sorted(begun.inherited) == begun.saved_parts == ["heads", "llm"]
    learning = {name for name, parameter in begun.model.named_parameters() if parameter.requires_grad}
    assert learning == {name for name in before if not name.endswith("_loss_sal.scale")}  # a constant


@pytest.mark.parametrize("start", ["grounder", "joined"])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"rank": 4}, r"lora.rank is 4, but the adapter of role grounder to start from has 64"),
        ({"alpha": 4.0}, r"lora.alpha is 4, but the adapter of role grounder to start from has 128"),
        ({"modules_to_save": []}, r"lora.modules_to_save is none, but .* from has embed_tokens, lm_head"),
        ({"target_modules": ["q_proj"]}, r"lora.target_modules is q_proj, but .* from has down_proj, gate_proj"),
    ],
)
def test_an_adapter_goes_on_only_as_what_it_is(roles, tmp_path, start, change, line):
    lora = {**vars(role_config("grounder").finetune.lora), **change}

    with pytest.raises(ConfigError, match=line) as caught:
        starting_model(next_run(tmp_path, roles[start], finetune={"lora": lora}))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", ["grounder", "joined"])
def test_dropout_may_differ_and_is_what_the_run_says(roles, tmp_path, start):
    lora = {**vars(role_config("grounder").finetune.lora), "dropout": 0.25}

    model = starting_model(next_run(tmp_path, roles[start], finetune={"lora": lora})).model

    found = {m.p for name, m in model.named_modules() if name.endswith("lora_dropout.grounder")}
    assert found == {0.25}


@pytest.mark.parametrize("start", ["grounder", "joined"])
def test_an_adapter_of_another_base_is_refused(roles, tmp_path, start):
    tiny = {**vars(role_config("grounder").tiny), "seed": 8}

    with pytest.raises(
        CheckpointError,
        match=rf"{roles[start]} was trained on another base: tiny.seed is 7 there, 8 here; set --model.tiny.seed 7",
    ):
        starting_model(next_run(tmp_path, roles[start], tiny=tiny))


def test_a_run_found_by_its_model_id_on_another_base_is_refused_too(tmp_path):
    write_run(tmp_path, "grounder", stage="full-align")
    config = next_run(tmp_path, None, tiny={**vars(role_config("grounder").tiny), "seed": 8})

    with pytest.raises(
        CheckpointError, match=r"tiny.seed is 7 there, 8 here; .* it was taken for its model_id `role-"
    ):
        starting_model(config)


@pytest.mark.parametrize("start", ["grounder", "joined"])
def test_a_stage_without_adapters_does_not_write_over_one(roles, tmp_path, start):
    with pytest.raises(ConfigError, match=r"lora.rank of stage full-finetune is 0, but .* to start from has 64; set"):
        starting_model(next_run(tmp_path, roles[start], stage="full-finetune"))


def test_a_role_the_folder_lacks_is_refused(roles, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"joined has no adapter of role planner to start from; it has grounder,"
    ):
        starting_model(next_run(tmp_path, roles["joined"], role="planner"))


def test_a_published_name_that_cannot_be_had_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("merv.models.qwen2_vl.published.find_cached", lambda repo, name: None)
    monkeypatch.setattr("merv.models.qwen2_vl.published.hub_is_reachable", lambda: False)

    with pytest.raises(ConfigError, match=r"model `yeliudev/VideoMind-2B`: .* cannot be reached from here"):
        starting_model(next_run(tmp_path, Path("yeliudev/VideoMind-2B")))


@pytest.mark.parametrize(("name", "lines"), [("role-tiny-planner", 0), ("merv-tiny", 1)])
def test_projectors_that_start_anew_are_told_of_models_that_have_them(tmp_path, caplog, name, lines):
    model = role_config("planner") if name == "role-tiny-planner" else ModelConfig.new(name)
    config = PretrainConfig(model=model, run_root_dir=tmp_path)

    with caplog.at_level("INFO", logger="merv.runs.folder"):
        assert find_parent(config, config.model.build(seed=1)) == ([], [])

    assert ["projectors start from random weights" in line for line in caplog.messages] == [True] * lines
