"""Runs of single roles joined in one folder, and such folders loaded, asked and hashed like any run."""

import json
import shutil

import pytest
import torch
from models.qwen2_vl.role_folders import write_published
from models.qwen2_vl.role_rows import role_config, stir
from safetensors.torch import load_file, save_file

import merv
from merv.conf import files
from merv.errors import CheckpointError, ConfigError
from merv.models.base import ModelConfig
from merv.models.freeze import set_stage
from merv.models.qwen2_vl.published import ROLE_MODELS
from merv.runs.cli import main
from merv.runs.evaluate import about_run
from merv.runs.export_roles import ExportRolesConfig, export_roles, named
from merv.runs.folder import export_model
from merv.runs.pretrain_config import PretrainConfig
from merv.training.world import World


def write_run(root, role, run_id=None, *, stage="finetune", **options):
    """What training a role leaves, without the training: adapters and head are random."""
    config = PretrainConfig(
        model=role_config(role, **options), stage=stage, run_id=run_id or role, run_root_dir=root, seed=3
    )
    model = config.model.build(seed=config.seed)
    learning = set_stage(model, config.stage, config.stage_config)
    stir(model.llm, seed=len(role), of=f".{role}.")
    stir(model.heads, seed=len(role))
    files.save(config, config.run_dir / "config.yaml")
    export_model(config, model, learning, World(0, 1, torch.device("cpu"), None))
    return config.run_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A grounder, a verifier and a planner; tests leave them as they are."""
    root = tmp_path_factory.mktemp("runs")
    return {role: write_run(root, role) for role in ("grounder", "verifier", "planner")}


@pytest.fixture(scope="module")
def joined(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("joined") / "agent"
    assert export_roles(ExportRolesConfig(list(runs.values()), out)) == 0
    return out


def test_joined_roles_are_those_of_their_runs_bit_for_bit(runs, joined):
    together = merv.load(joined, device="cpu")
    state = together.state_dict()

    assert together.roles == ("planner", "grounder", "verifier", "answerer")
    for role, run in runs.items():
        alone = merv.load(run, device="cpu")
        for name, tensor in alone.state_dict().items():
            assert torch.equal(state[name], tensor), name
        assert together.processor.budgets[role] == alone.processor.budgets[role]
        assert together.processor.wordings[role] == alone.processor.wording


def test_a_grounder_finds_in_company_what_it_finds_alone(runs, joined, tmp_path):
    from models.qwen2_vl.role_rows import draw_clips, grounding

    asked = [("grounder", grounding(draw_clips(tmp_path)["wide"]))]

    alone = merv.load(runs["grounder"], device="cpu").ask(asked, max_new_tokens=4)

    assert merv.load(joined, device="cpu").ask(asked, max_new_tokens=4) == alone


def test_a_joined_folder_can_be_joined_again(joined, tmp_path):
    more = write_run(tmp_path, "answerer")

    export_roles(ExportRolesConfig([joined, more], tmp_path / "all"))

    again, before = merv.load(tmp_path / "all", device="cpu"), merv.load(joined, device="cpu")
    assert again.roles == ("planner", "grounder", "verifier", "answerer")
    state = again.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.state_dict().items())
    assert "llm.model.lm_head.modules_to_save.answerer.weight" in state
    expected = merv.load(more, device="cpu").processor.budgets["answerer"]
    assert again.processor.budgets["answerer"] == expected


def test_a_published_folder_may_stand_among_runs(tmp_path):
    published = write_published(tmp_path / "published")
    base = {"hidden_size": 128, "intermediate_size": 256, "num_layers": 2, "num_heads": 4}
    run = write_run(tmp_path, "answerer", tiny={**base, "vision_dim": 64, "vision_depth": 2})
    with pytest.raises(CheckpointError, match=r"published/config.json lacks intermediate_size; copy it again"):
        export_roles(ExportRolesConfig([run, published], tmp_path / "both"))

    shape = json.loads((_whole_config(run, tmp_path) / "config.json").read_text())
    said = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(
        json.dumps({**{key: value for key, value in shape.items() if key != "merv"}, **said})
    )
    export_roles(ExportRolesConfig([run, published], tmp_path / "both"))

    together = merv.load(tmp_path / "both", device="cpu")
    assert together.processor.wordings["grounder"] == "videomind"
    assert together.processor.wordings["answerer"] == "short"
    assert together.heads["grounder"].config.protocol == together.config.protocol == "videomind"


def _whole_config(run, folder):
    export_roles(ExportRolesConfig([run], folder / "single"))
    return folder / "single"


@pytest.mark.parametrize(("keys", "name"), [("videomind", "model.layers"), ("transformers5", "language_model.layers")])
def test_keys_are_those_asked_for(runs, tmp_path, keys, name):
    export_roles(ExportRolesConfig([runs["planner"]], tmp_path / "out", keys=keys))

    found = [key for key in load_file(tmp_path / "out/planner/adapter_model.safetensors") if "lora_" in key]
    assert found
    assert all(f"{name}." in key for key in found)


def test_two_runs_of_one_role_are_refused(runs, tmp_path):
    other = write_run(tmp_path, "grounder", "again")

    with pytest.raises(ConfigError, match=r"role grounder is in .*grounder and in .*again; name one of them"):
        export_roles(ExportRolesConfig([runs["grounder"], other], tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [({"seed": 8}, "tiny.seed is 7 and 8"), ({"hidden_size": 48}, "hidden_size is 32 and 48")],
)
def test_runs_on_different_bases_are_refused(runs, tmp_path, change, line):
    tiny = {**vars(role_config("verifier").tiny), **change}
    other = write_run(tmp_path, "verifier", tiny=tiny)

    with pytest.raises(ConfigError, match=rf"are on different bases: {line}; roles of one folder share a base"):
        export_roles(ExportRolesConfig([runs["grounder"], other], tmp_path / "out"))


def test_a_run_of_another_family_is_refused(tmp_path):
    config = PretrainConfig(model=ModelConfig.new("merv-tiny"), run_id="tiny", run_root_dir=tmp_path)
    files.save(config, config.run_dir / "config.yaml")
    save_file({"x": torch.ones(1)}, config.run_dir / "model.safetensors")

    with pytest.raises(ConfigError, match=r"tiny is of a merv-tiny, which plays no role; name runs of role models"):
        export_roles(ExportRolesConfig([config.run_dir], tmp_path / "out"))


def test_runs_without_an_adapter_are_refused(tmp_path):
    heads = write_run(tmp_path, "grounder", stage="align", align={"lora": {"rank": 0}})
    whole = write_run(tmp_path, "verifier", stage="full-finetune")

    with pytest.raises(ConfigError, match=r"grounder has no adapter: stage align with lora.rank 0 left none"):
        export_roles(ExportRolesConfig([heads], tmp_path / "out"))
    with pytest.raises(ConfigError, match=r"verifier has a base of its own, which no other role can share"):
        export_roles(ExportRolesConfig([whole], tmp_path / "out"))


def test_what_is_no_finished_run_is_refused(runs, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(runs["planner"] / "config.yaml", begun)

    with pytest.raises(CheckpointError, match=r"begun has no model.safetensors: the run has not finished"):
        export_roles(ExportRolesConfig([begun], tmp_path / "out"))
    with pytest.raises(CheckpointError, match=r"nothing is neither a run's folder nor one of roles; name folders"):
        export_roles(ExportRolesConfig([tmp_path / "nothing"], tmp_path / "out"))
    shutil.copy(runs["planner"] / "model.safetensors", begun)
    (begun / "config.yaml").unlink()
    with pytest.raises(CheckpointError, match=r"begun is no run: it has no config.yaml"):
        export_roles(ExportRolesConfig([begun], tmp_path / "out"))


def test_a_grounder_whose_head_is_gone_is_refused(runs, tmp_path):
    run = shutil.copytree(runs["grounder"], tmp_path / "grounder")
    from merv.models.weights import read_parts, save_parts

    tensors, parts, lora = read_parts(run / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("heads.")}
    save_parts(run / "model.safetensors", kept, parts, lora)

    with pytest.raises(CheckpointError, match=r"model.safetensors lacks the head of the grounder; train it again"):
        export_roles(ExportRolesConfig([run], tmp_path / "out"))


def test_a_folder_that_is_there_is_replaced_only_when_asked_and_only_by_roles(runs, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    export_roles(ExportRolesConfig([runs["planner"]], out))
    (out / "eval").mkdir()
    other.mkdir()
    (other / "thesis.txt").write_text("mine")

    with pytest.raises(ConfigError, match=r"out is there already; name another --out, or add --overwrite"):
        ExportRolesConfig([runs["verifier"]], out)
    with pytest.raises(ConfigError, match=r"other is there already; name another --out, it is no folder of roles"):
        ExportRolesConfig([runs["verifier"]], other, overwrite=True)
    export_roles(ExportRolesConfig([runs["verifier"]], out, overwrite=True))

    assert (other / "thesis.txt").read_text() == "mine"
    assert (out / "verifier").is_dir()
    assert not (out / "planner").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out"]


def test_what_fails_leaves_the_old_folder_and_nothing_else(runs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    export_roles(ExportRolesConfig([runs["planner"]], out))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("merv.models.qwen2_vl.publish.write_tensors", full)
    with pytest.raises(OSError, match="No space left"):
        export_roles(ExportRolesConfig([runs["verifier"]], out, overwrite=True))

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "planner").is_dir()


def test_the_command_takes_runs_as_words_and_a_flag_between_them(runs, tmp_path, capsys):
    words = ["export", "roles", str(runs["grounder"]), "--overwrite", str(runs["planner"]), "--out"]

    assert main([*words, str(tmp_path / "a,b")]) == 0
    assert main([*words, str(tmp_path / "a,b")]) == 0
    assert {path.name for path in (tmp_path / "a,b").iterdir() if path.is_dir()} == {"grounder", "planner"}
    assert main(["export", "roles", "--help"]) == 0
    assert "--keys" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["roles", "--out", "x"], "runs"),
        (["roles", "a"], "out"),
        (["roles", "a", "--out", "x", "--keys", "old"], "keys"),
        (["roles", "--runs=[]", "--out", "x"], "runs is empty; name the folders of runs: merv export roles RUN"),
    ],
)
def test_words_that_do_not_fit_are_told_in_one_line(words, line, capsys):
    assert main(["export", *words]) == 2

    said = capsys.readouterr().err
    assert said.startswith("merv export roles: error: ")
    assert line in said
    assert said.count("\n") == 1


def test_a_path_with_a_comma_is_one_word():
    assert named(["roles", "a,b", "c", "--out", "d"]) == ['--runs=["a,b","c"]', "--out", "d"]


def test_options_of_load_reach_the_roles_they_are_about(joined, tmp_path):
    model = merv.load(joined, device="cpu", role="grounder", fps=0.5, protocol="videomind")

    assert model.config.role == model.processor.role == "grounder"
    assert model.processor.budgets["grounder"].fps == 0.5
    assert model.processor.budgets["verifier"] == merv.load(joined, device="cpu").processor.budgets["verifier"]
    assert model.processor.protocol == model.heads["grounder"].config.protocol == "videomind"
    with pytest.raises(ConfigError, match=r"agent has no role `gqa`; it has planner, grounder, verifier, answerer"):
        merv.load(joined, device="cpu", role="gqa")
    with pytest.raises(ConfigError, match=r"volume"):
        merv.load(joined, device="cpu", volume=3)


def test_the_folder_of_the_llm_is_that_of_the_base(joined, runs, tmp_path):
    from_run = merv.load(runs["planner"], device="cpu", llm_path=tmp_path)
    from_roles = merv.load(joined, device="cpu", llm_path=tmp_path)

    assert from_run.config.path == from_roles.config.path == tmp_path


def test_another_adapter_is_another_model(joined, tmp_path):
    before = about_run(joined)
    copy = shutil.copytree(joined, tmp_path / "copy")

    assert about_run(copy)["weights_sha256"] == before["weights_sha256"]
    file = copy / "planner" / "adapter_model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file)
    assert about_run(copy)["weights_sha256"] != before["weights_sha256"]
    assert before["path"] == str(joined)


def test_published_role_models_are_listed_and_told_when_they_cannot_be_had(monkeypatch, capsys):
    monkeypatch.setattr("merv.models.qwen2_vl.published.find_cached", lambda repo, name: None)
    monkeypatch.setattr("merv.models.qwen2_vl.published.hub_is_reachable", lambda: False)

    assert ROLE_MODELS.keys() <= merv.available("models").keys()
    assert main(["list", "models"]) == 0
    assert "yeliudev/VideoMind-7B  published: " in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"model `yeliudev/VideoMind-7B`: .* cannot be reached from here"):
        merv.load("yeliudev/VideoMind-7B")
    with pytest.raises(
        CheckpointError, match=r"there is no folder videomind; .*or one of merv-frozen, .*VideoMind-2B"
    ):
        merv.load("videomind")
