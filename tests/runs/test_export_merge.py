"""`merv export merge` for the runs of every family: what comes out answers as the run with its adapter does."""

import json
import shutil

import pytest
import torch
from backbones.llm_folder import save_llm
from helpers import run_words, train
from models.qwen2_vl.role_rows import WORDS, role_config
from safetensors.torch import load_file
from tiny_vlms import tiny_vlm
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

import merv
from merv.conf.parse import parse
from merv.errors import CheckpointError, ConfigError
from merv.export.merge_role import HEAD, HEAD_CONFIG
from merv.models.qwen2_vl.adapters import speaking
from merv.models.stage import LoraConfig
from merv.models.weights import lay_parts, read_parts
from merv.runs import export_merge as story
from merv.runs.cli import main
from merv.runs.export_merge import ExportMergeConfig, export_merge, named
from merv.runs.export_roles import ExportRolesConfig, export_roles
from merv.runs.pretrain_config import PretrainConfig

from .small_runs import vlm_words
from .test_export_roles import write_run

LORA = {"lora.rank": 2, "lora.dropout": 0.0, "max_steps": 1, "learning_rate": 0.05}
IDS = torch.tensor([[5, 9, 200, 210, 17]])


@pytest.fixture(scope="module")
def runs(synthetic_data, tmp_path_factory):
    """A multi-encoder run on a drawn LLM, one on a published LLM, and one of a Qwen2.5-VL; adapters learnt a step."""
    root = tmp_path_factory.mktemp("runs")
    save_llm(root / "llm", max_position_embeddings=512)
    tiny_vlm("qwen2.5-vl", root / "vlm")
    published = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(root / "llm"))
    train(run_words(synthetic_data, root, "drawn", stage="finetune", **LORA))
    train(run_words(synthetic_data, root, "published", *published, stage="finetune", **LORA))
    train(vlm_words(synthetic_data, root, "vlm-lora", **LORA))
    return root


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    """A grounder that kept its words, a verifier, and a folder of both; their adapters are random."""
    root = tmp_path_factory.mktemp("roles")
    words = role_config("grounder").finetune
    words.lora = WORDS
    found = {"grounder": write_run(root, "grounder", finetune=words), "verifier": write_run(root, "verifier")}
    export_roles(ExportRolesConfig([found["verifier"], write_run(root, "planner")], root / "joined"))
    return {**found, "joined": root / "joined"}


def merge_to(out, adapter, **options):
    assert export_merge(ExportMergeConfig(adapter, out, **options)) == 0
    return out


def unmerged(run):
    """A multi-encoder run's model with its adapters still beside the weights."""
    config = parse(PretrainConfig, ["--config_path", str(run / "config.yaml")])
    model = config.model.build(seed=config.seed)
    tensors, parts, lora = read_parts(run / "model.safetensors")
    model.add_adapters(lora)
    lay_parts(model, tensors, parts, run, whole_llm=False)
    return model.eval()


@pytest.mark.parametrize("name", ["drawn", "published"])
@torch.no_grad()
def test_a_multi_encoder_run_is_merged(name, runs, tmp_path):
    out = merge_to(tmp_path / "out", runs / name)

    worn, opened = unmerged(runs / name), merv.load(out, device="cpu")
    llm = AutoModelForCausalLM.from_pretrained(out / "llm").eval()
    expected = worn.llm.model(input_ids=IDS).logits
    for logits in (opened.llm.model(input_ids=IDS).logits, llm(input_ids=IDS).logits):
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    with worn.without_adapters():
        assert (worn.llm.model(input_ids=IDS).logits - expected).abs().max() > 1e-3
    assert AutoTokenizer.from_pretrained(out / "llm")("What?").input_ids == worn.llm.tokenizer("What?").input_ids
    mine = opened.state_dict()
    for key, tensor in merv.load(runs / name, device="cpu").state_dict().items():
        torch.testing.assert_close(mine[key], tensor, msg=key)


def test_a_merged_run_says_where_it_comes_from(runs, tmp_path):
    out = merge_to(tmp_path / "out", runs / "published")

    config, opened = parse(PretrainConfig, ["--config_path", str(out / "config.yaml")]), merv.load(out, device="cpu")
    assert config.stage_config.lora == LoraConfig()
    assert config.run_dir == out
    assert json.loads((out / "lineage.json").read_text())["parents"] == [str(runs / "published")]
    assert read_parts(out / "model.safetensors")[1:] == (sorted(opened.parts()), LoraConfig())


def test_a_type_is_that_of_all_files(runs, tmp_path):
    out = merge_to(tmp_path / "out", runs / "published", dtype="bfloat16")

    for file in (out / "model.safetensors", out / "llm" / "model.safetensors"):
        assert {tensor.dtype for tensor in load_file(file).values()} == {torch.bfloat16}
    merv.load(out, device="cpu")


@torch.no_grad()
def test_a_run_of_transformers_is_merged(runs, tmp_path):
    out = merge_to(tmp_path / "out", runs / "vlm-lora")

    plain, own = AutoModelForImageTextToText.from_pretrained(out).eval(), merv.load(runs / "vlm-lora", device="cpu")
    base = AutoModelForImageTextToText.from_pretrained(runs / "vlm").eval()
    logits = plain(input_ids=IDS).logits
    torch.testing.assert_close(logits, own.model(input_ids=IDS).logits, rtol=1e-4, atol=1e-4)
    assert (base(input_ids=IDS).logits - logits).abs().max() > 1e-3
    assert AutoProcessor.from_pretrained(out).chat_template
    assert not (out / "adapter_config.json").exists()


@pytest.mark.parametrize("role", ["grounder", "verifier"])
@torch.no_grad()
def test_a_role_is_merged_into_a_plain_qwen2_vl(role, roles, tmp_path):
    out = merge_to(tmp_path / "out", roles[role])

    plain, own = AutoModelForImageTextToText.from_pretrained(out).eval(), merv.load(roles[role], device="cpu")
    with speaking(own.llm, [role]):
        expected = own.llm.model(input_ids=IDS).logits
    torch.testing.assert_close(plain(input_ids=IDS).logits, expected, rtol=1e-4, atol=1e-4)
    with speaking(own.llm, ["nobody"]):
        assert (own.llm.model(input_ids=IDS).logits - expected).abs().max() > 1e-2
    tower = plain.model.visual.state_dict()
    assert all(torch.equal(tower[name], tensor) for name, tensor in own.vision.state_dict().items())


def test_the_head_and_the_words_of_a_role_come_along(roles, tmp_path):
    out = merge_to(tmp_path / "out", roles["grounder"])

    own = merv.load(roles["grounder"], device="cpu")
    head = load_file(out / HEAD)
    assert head.keys() == own.heads["grounder"].state_dict().keys()
    assert json.loads((out / HEAD_CONFIG).read_text())["dims"] == 16
    processor = AutoProcessor.from_pretrained(out)
    assert processor.tokenizer.get_vocab() == own.processor.tokenizer.get_vocab()
    assert processor.image_processor.patch_size == own.processor.geometry.patch


def test_a_role_of_several_has_to_be_named(roles, tmp_path):
    with pytest.raises(ConfigError, match="one at a time; name --role planner or --role verifier"):
        merge_to(tmp_path / "out", roles["joined"])
    with pytest.raises(ConfigError, match="role grounder has no adapter here; planner, verifier have"):
        merge_to(tmp_path / "out", roles["joined"], role="grounder")
    assert not (tmp_path / "out").exists()

    from_all = merge_to(tmp_path / "all", roles["joined"], role="verifier")
    alone = merge_to(tmp_path / "alone", roles["verifier"])
    first, second = (load_file(folder / "model.safetensors") for folder in (from_all, alone))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert not (from_all / HEAD).exists()


def test_a_role_is_of_no_use_elsewhere(runs, tmp_path):
    with pytest.raises(ConfigError, match="is of a model without roles; leave it out"):
        merge_to(tmp_path / "out", runs / "vlm-lora", role="grounder")


def test_what_holds_no_adapter_is_refused(runs, synthetic_data, tmp_path):
    whole = shutil.copytree(merge_to(tmp_path / "merged", runs / "drawn"), tmp_path / "whole")
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, line in (
        (whole, "holds no adapter: its run trained whole weights"),
        (empty, r"has neither adapter_config\.json nor config\.yaml"),
        (tmp_path / "none", "there is no folder"),
        (runs / "vlm", r"has neither adapter_config\.json nor config\.yaml"),
    ):
        with pytest.raises(CheckpointError, match=line):
            merge_to(tmp_path / "out", folder)


def test_a_run_that_has_not_finished_is_refused(runs, tmp_path):
    shutil.copytree(runs / "drawn", tmp_path / "run", ignore=shutil.ignore_patterns("*.safetensors"))

    with pytest.raises(CheckpointError, match=r"has no model\.safetensors: the run has not finished"):
        merge_to(tmp_path / "out", tmp_path / "run")


def test_an_adapter_that_does_not_name_its_base_needs_it(runs, tmp_path):
    adapter = shutil.copytree(runs / "vlm-lora", tmp_path / "adapter", ignore=shutil.ignore_patterns("checkpoints"))
    (adapter / "base.json").unlink()
    said = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**said, "base_model_name_or_path": None}))

    with pytest.raises(ConfigError, match="does not say what it was trained on; name it with --base"):
        merge_to(tmp_path / "out", adapter)
    merge_to(tmp_path / "out", adapter, base=str(runs / "vlm"))


def test_a_folder_that_is_there_is_kept(runs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("kept")

    with pytest.raises(ConfigError, match=r"is there already; name another --out, or add --overwrite"):
        merge_to(out, runs / "vlm-lora")
    assert (out / "mine").read_text() == "kept"

    merge_to(out, runs / "vlm-lora", overwrite=True)
    assert not (out / "mine").exists()


def test_what_is_merged_is_not_replaced(runs, tmp_path):
    for name in ("vlm", "vlm-lora"):
        shutil.copytree(runs / name, tmp_path / name)
    base = str(tmp_path / "vlm")

    for out in (tmp_path / "vlm", tmp_path / "vlm-lora", tmp_path):
        with pytest.raises(ConfigError, match=r"of which it would be made"):
            merge_to(out, tmp_path / "vlm-lora", base=base, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vlm", "vlm-lora"]


def test_the_base_an_adapter_names_is_not_replaced(runs, tmp_path):
    with pytest.raises(ConfigError, match=r"vlm, of which it would be made"):
        merge_to(runs / "vlm", runs / "vlm-lora", overwrite=True)


def test_a_merge_that_fails_leaves_nothing(runs, tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("merv.export.merge.copy_beside", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_to(tmp_path / "out", runs / "vlm-lora")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_pushed_where_that_is_asked_for(runs, tmp_path, monkeypatch):
    pushed = []
    monkeypatch.setattr(story, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(story, "push", lambda folder, repository: pushed.append((folder, repository)))

    merge_to(tmp_path / "quiet", runs / "vlm-lora")
    merge_to(tmp_path / "out", runs / "vlm-lora", push_to_hub="owner/name")

    assert pushed == [(tmp_path / "out", "owner/name")]


def test_a_hub_out_of_reach_is_told_before_anything_is_written(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(story, "hub_is_reachable", lambda: False)

    with pytest.raises(ConfigError, match="push_to_hub owner/name: the hub cannot be reached from here"):
        merge_to(tmp_path / "out", runs / "vlm-lora", push_to_hub="owner/name")
    with pytest.raises(ConfigError, match="name a repository as owner/name"):
        ExportMergeConfig(runs / "vlm-lora", tmp_path / "out", push_to_hub="name")


def test_words_of_the_command_become_options():
    assert named(["merge", "--overwrite", "--out", "b"]) == ["--overwrite=true", "--out", "b"]
    with pytest.raises(ConfigError, match="`runs/a` is no option: merv export merge --adapter DIR"):
        named(["merge", "runs/a"])


def test_the_command_merges(runs, tmp_path, capsys):
    words = ["export", "merge", "--adapter", str(runs / "vlm-lora"), "--out", str(tmp_path / "out")]

    assert main([*words, "--base", str(runs / "vlm"), "--dtype", "bfloat16"]) == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
