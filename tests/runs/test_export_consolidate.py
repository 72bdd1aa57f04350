"""`merv export consolidate`: a checkpoint becomes what the finished run left, whatever wrote it."""

import json
import shutil

import pytest
import torch
from backbones.llm_folder import save_llm
from helpers import run_distributed, run_words, train, train_all
from safetensors.torch import load_file
from tiny_vlms import tiny_vlm
from transformers import AutoModelForImageTextToText

import merv
from merv import space
from merv.errors import CheckpointError, ConfigError
from merv.runs.cli import main
from merv.runs.export_consolidate import ExportConsolidateConfig, export_consolidate, named

from .small_runs import vlm_words

LORA = {"lora.rank": 2, "lora.dropout": 0.0}
EXPERTS = {**LORA, "lora.target_modules": "[q_proj,gate_up_proj,down_proj,lm_head]"}
STEPS = {"max_steps": 2, "learning_rate": 0.01}
SMALL = {"tiny.hidden_size": "32", "tiny.intermediate_size": "48", "tiny.num_heads": "2", "tiny.vision_dim": "16"}
SMALL |= {"head.dims": "16", "head.num_heads": "2", "max_frames": "8"}
OFTEN = ("--save_checkpoint_after", "1")


def lines(data, root):
    """Command lines of a run of every kind, by its id."""
    published = (
        "--model.llm_backbone_id",
        "llama2-7b-pure",
        "--model.llm_path",
        str(root / "llm"),
        "--model.model_id",
        "other",
    )
    role = ["--model.type", "role-tiny-grounder", "--dataset.type", "synthetic-grounder", "--dataset.num_clips", "3"]
    role += ["--dataset.num_eval", "1", "--dataset.dataset_root_dir", str(root / "data"), "--stage", "finetune"]
    role += [word for name, value in SMALL.items() for word in (f"--model.{name}", value)]
    role += ["--run_id", "role", "--run_root_dir", str(root), "--num_workers", "0", "--trackers", "[jsonl]"]
    role += ["--model.finetune.global_batch_size", "2", "--model.finetune.per_device_batch_size", "2"]
    role += ["--model.finetune.max_steps", "2", "--model.finetune.train_strategy", "single"]
    aria = vlm_words(data, root, "aria-lora", model="aria", **EXPERTS, **STEPS)
    return {
        "align": run_words(data, root, "align", **STEPS),
        "whole": run_words(data, root, "whole", stage="full-finetune", **STEPS),
        "lora": run_words(data, root, "lora", *published, stage="finetune", **LORA, **STEPS),
        "vlm-whole": vlm_words(data, root, "vlm-whole", stage="full-finetune", **STEPS),
        "vlm-lora": vlm_words(data, root, "vlm-lora", **LORA, **STEPS),
        "aria-lora": [*aria, "--model.max_image_size", "490"],
        "role": role,
    }


@pytest.fixture(scope="module")
def root(synthetic_data, tmp_path_factory):
    """The folder of finished runs of every kind, two steps each, with a checkpoint after each step."""
    folder = tmp_path_factory.mktemp("runs")
    save_llm(folder / "llm", max_position_embeddings=512)
    tiny_vlm("qwen2.5-vl", folder / "vlm")
    tiny_vlm("aria", folder / "aria")
    for words in lines(synthetic_data, folder).values():
        train([*words, *OFTEN])
    return folder


def consolidated(checkpoint, out, **options):
    assert export_consolidate(ExportConsolidateConfig(checkpoint, out, **options)) == 0
    return out


def weights_of(folder):
    return {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}


def assert_same_files(folder, run):
    """Both hold the same weights, bit for bit, and files of the same names."""
    first, second = weights_of(folder), weights_of(run)
    assert first, "there are weights"
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []
    of_training = {"checkpoints", "metrics.jsonl", "loss.png", "bad_samples.jsonl", "tensorboard"}
    assert {path.name for path in folder.iterdir()} == {path.name for path in run.iterdir()} - of_training


@pytest.mark.parametrize("run", ["align", "whole", "lora", "vlm-whole", "vlm-lora", "aria-lora", "role"])
def test_the_last_checkpoint_becomes_what_the_finished_run_left(run, root, tmp_path):
    out = consolidated(root / run, tmp_path / "out")

    assert_same_files(out, root / run)
    merv.load(out, device="cpu")


@pytest.mark.parametrize("run", ["whole", "vlm-whole", "aria-lora"])
def test_an_earlier_checkpoint_has_other_weights(run, root, tmp_path):
    out = consolidated(root / run / "checkpoints" / "step-000001", tmp_path / "out")

    first, last = weights_of(out), weights_of(root / run)
    assert first.keys() == last.keys()
    assert any(not torch.equal(tensor, last[name]) for name, tensor in first.items())
    assert json.loads((out / "lineage.json").read_text())["checkpoint"].endswith("checkpoints/step-000001")


def test_the_folder_stands_in_the_runs_unless_named(root):
    assert export_consolidate(ExportConsolidateConfig(root / "align")) == 0

    folder = root / "align" / "consolidated-step-000002"
    assert (folder / "model.safetensors").is_file()
    shutil.rmtree(folder)


@pytest.mark.dist
def test_shards_of_two_processes_become_one_folder(root, synthetic_data, tmp_path):
    for name in ("vlm", "aria"):
        (tmp_path / name).symlink_to(root / name)
    names = {"whole": "full_finetune", "vlm-whole": "full_finetune", "aria-lora": "finetune"}
    sharded = []
    for name, stage in names.items():
        field = f"--model.{stage}"
        more = [f"{field}.train_strategy", "fsdp-full-shard", f"{field}.per_device_batch_size", "2"]
        sharded.append([*lines(synthetic_data, tmp_path)[name], *more])
    run_distributed(train_all, sharded, timeout_s=200)

    for name in names:
        checkpoint = tmp_path / name / "checkpoints" / "step-000002"
        assert len(list(checkpoint.glob("*.distcp"))) == 2
        out = consolidated(checkpoint, tmp_path / f"{name}-out")
        assert_same_files(out, tmp_path / name)
    AutoModelForImageTextToText.from_pretrained(tmp_path / "vlm-whole-out")


@pytest.mark.parametrize(("run", "dtype"), [("vlm-whole", "bfloat16"), ("whole", "float16"), ("vlm-lora", "bfloat16")])
def test_a_type_may_be_asked_for(run, dtype, root, tmp_path):
    out = consolidated(root / run, tmp_path / "out", dtype=dtype)

    found, whole = weights_of(out), weights_of(root / run)
    assert all(torch.equal(tensor, whole[name].to(getattr(torch, dtype))) for name, tensor in found.items())
    assert {tensor.dtype for tensor in found.values()} == {getattr(torch, dtype)}


def test_what_a_run_began_with_is_what_it_says_and_not_what_is_newest(synthetic_data, tmp_path):
    first = {"stage": "full-align", "max_steps": 1}
    train(run_words(synthetic_data, tmp_path, "early", **first))
    train(run_words(synthetic_data, tmp_path, "tuned", stage="finetune", **LORA, max_steps=1))
    train(run_words(synthetic_data, tmp_path, "later", **first, learning_rate=1.0))
    assert json.loads((tmp_path / "tuned" / "lineage.json").read_text())["parents"] == [str(tmp_path / "early")]

    out = consolidated(tmp_path / "tuned", tmp_path / "out")

    assert_same_files(out, tmp_path / "tuned")
    assert any("base_layer" in name for name in weights_of(out))


def test_where_no_checkpoint_is_a_line_says_so(root, tmp_path):
    run = shutil.copytree(root / "align", tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    for named_folder, line in (
        (tmp_path / "none", "there is no folder .*; name a run"),
        (run, r"has no complete checkpoint in checkpoints/; train on with its --run_id"),
        (tmp_path, "is no checkpoint of a run: no config.yaml stands above it"),
    ):
        with pytest.raises(CheckpointError, match=line):
            consolidated(named_folder, tmp_path / "out")


def copy_of(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("consolidated*"))


def test_an_incomplete_checkpoint_is_refused(root, tmp_path):
    run = copy_of(root / "align", tmp_path)
    checkpoint = run / "checkpoints" / "step-000002"
    shard = next(checkpoint.glob("*.distcp"))
    shard.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=rf"is incomplete: it lacks {shard.name}, of 1 files"):
        consolidated(checkpoint, tmp_path / "out")

    (checkpoint / ".metadata").unlink()
    with pytest.raises(CheckpointError, match="is incomplete: its writing was interrupted"):
        consolidated(checkpoint, tmp_path / "out")

    checkpoint.rename(run / "checkpoints" / "step-000003.partial")
    with pytest.raises(CheckpointError, match="is incomplete: its writing was interrupted"):
        consolidated(run / "checkpoints" / "step-000003.partial", tmp_path / "out")


def test_a_damaged_checkpoint_is_refused(root, tmp_path):
    checkpoint = copy_of(root / "align", tmp_path) / "checkpoints" / "step-000002"
    shard = next(checkpoint.glob("*.distcp"))
    shard.write_bytes(shard.read_bytes()[:1000])

    with pytest.raises(CheckpointError, match=r"cannot be read: .*; name another one"):
        consolidated(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_model_is_refused(root, tmp_path):
    run = copy_of(root / "align", tmp_path)
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(root / "whole" / "checkpoints", run / "checkpoints")

    with pytest.raises(
        CheckpointError, match=r"is of another model or stage than its config\.yaml says: `llm\..* here"
    ):
        consolidated(run, tmp_path / "out")


def test_a_plugin_that_is_missing_is_named(root, tmp_path):
    run = copy_of(root / "align", tmp_path)
    text = (run / "config.yaml").read_text()
    assert "plugins: []" in text
    (run / "config.yaml").write_text(text.replace("plugins: []", "plugins: [no_such_package]"))

    with pytest.raises(ConfigError, match="plugin `no_such_package` cannot be imported"):
        consolidated(run, tmp_path / "out")


def test_a_damaged_lineage_is_refused(root, tmp_path):
    run = copy_of(root / "align", tmp_path)
    (run / "lineage.json").write_text("{")

    with pytest.raises(CheckpointError, match=r"lineage\.json is no JSON"):
        consolidated(run, tmp_path / "out")


def test_a_folder_that_is_there_is_kept(root, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("kept")

    with pytest.raises(ConfigError, match="is there already; name another --out, or add --overwrite"):
        consolidated(root / "align", out)
    assert (out / "mine").read_text() == "kept"

    assert not (consolidated(root / "align", out, overwrite=True) / "mine").exists()


def test_a_run_is_not_replaced_by_its_own_checkpoint(root, tmp_path):
    run = shutil.copytree(root / "vlm-lora", tmp_path / "run")

    with pytest.raises(ConfigError, match=r"run holds .*/step-000002, of which it would be made"):
        consolidated(run, run, overwrite=True)
    assert (run / "checkpoints" / "step-000002").is_dir()


def test_too_small_a_disk_is_told_before_anything_is_written(root, tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 10))

    with pytest.raises(ConfigError, match=r"out needs .* GB and .* has 0\.00 GB free"):
        consolidated(root / "vlm-lora", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_words_of_the_command_become_options():
    assert named(["consolidate", "--overwrite", "runs/a"]) == ["--checkpoint=runs/a", "--overwrite=true"]
    assert named(["consolidate", "--checkpoint", "runs/a"]) == ["--checkpoint", "runs/a"]
    assert named(["consolidate", "--help"]) == ["--help"]
    for words in ([], ["runs/a", "runs/b"], ["runs/a", "--checkpoint=runs/b"]):
        with pytest.raises(ConfigError, match=r"found \d checkpoints; name one: merv export consolidate"):
            named(["consolidate", *words])


def test_the_command_consolidates(root, tmp_path, capsys):
    words = ["export", "consolidate", str(root / "vlm-lora"), "--out", str(tmp_path / "out")]

    assert main(words) == 0
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert main(words) == 2
    assert capsys.readouterr().err.count("is there already") == 1
