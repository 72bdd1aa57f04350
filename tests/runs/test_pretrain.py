"""Runs from command line to folder, in this process."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.distributed.checkpoint as dcp
from helpers import FULL_SIZE, assert_same_weights, course, losses, rows, run_words, train
from safetensors.torch import load_file

from merv.conf import files
from merv.conf.parse import parse, run_main
from merv.errors import CheckpointError, ConfigError
from merv.models.freeze import set_stage
from merv.models.lora import add_lora, merge_lora
from merv.models.multi_encoder.net import MultiEncoderLM
from merv.models.multi_encoder.processor import MultiEncoderProcessor
from merv.models.stage import TRAINED_PARTS, LoraConfig
from merv.models.weights import load_parts, read_parts
from merv.runs import assemble
from merv.runs import pretrain as story
from merv.runs.pretrain_config import PretrainConfig
from merv.training.trackers import JsonlTracker

GOLDEN = Path(__file__).parents[1] / "golden" / "losses.json"


def part_of(name):
    return name.split(".", 1)[0]


def config_of(words):
    return parse(PretrainConfig, words)


def stop_after(step):
    """Ask a run to stop once it has written the row of a step."""
    log = JsonlTracker.log

    def log_and_ask(self, done, metrics):
        log(self, done, metrics)
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return mock.patch.object(JsonlTracker, "log", log_and_ask)


def counted_rows():
    """Count the rows a run prepares."""
    return mock.patch.object(
        MultiEncoderProcessor, "prepare", autospec=True, side_effect=MultiEncoderProcessor.prepare
    )


@pytest.mark.parametrize("stage", ["align", "full-finetune"])
def test_losses_are_the_recorded_ones(synthetic_data, tmp_path, stage):
    golden = json.loads(GOLDEN.read_text())

    train(run_words(synthetic_data, tmp_path, "run", *FULL_SIZE, stage=stage, **golden["options"]))

    found = losses(tmp_path / "run")
    if os.environ.get("MERV_REWRITE_GOLDEN"):
        golden["losses"][stage] = [round(loss, 6) for loss in found]
        entries = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
        GOLDEN.write_text("{\n" + ",\n".join(entries) + "\n}\n")
    # Another CPU adds up in another order, another decoder may round a pixel otherwise.
    torch.testing.assert_close(found, golden["losses"][stage], rtol=1e-3, atol=1e-3)


def test_a_run_leaves_its_records_and_its_config_repeats_it(synthetic_data, tmp_path):
    words = run_words(synthetic_data, tmp_path, "one", max_steps=2)
    train(words)
    run = tmp_path / "one"

    again = ["--config_path", str(run / "config.yaml"), "--run_id", "two"]
    train(again)

    assert files.load(PretrainConfig, run / "config.yaml") == config_of(words)
    assert [row["step"] for row in rows(run)] == [1, 2]
    assert course(tmp_path / "two") == course(run)
    assert_same_weights(tmp_path / "two", run)
    present = {path.name for path in run.iterdir()}
    assert {"config.json", "lineage.json", "loss.png", "model.safetensors", "tokenizer.json"} <= present
    lineage = json.loads((run / "lineage.json").read_text())
    assert (lineage["run_id"], lineage["world_size"], lineage["parents"]) == ("one", 1, [])
    assert [len(digest) for digest in lineage["data"].values()] == [64]


@pytest.mark.parametrize("stage", TRAINED_PARTS)
def test_a_stage_trains_its_parts_and_leaves_the_others_bit_for_bit(synthetic_data, tmp_path, stage):
    words = run_words(synthetic_data, tmp_path, "run", stage=stage, max_steps=2)
    config = config_of(words)
    before = config.model.build(seed=config.seed)

    train(words)

    after = load_file(tmp_path / "run" / "model.safetensors")
    old = before.state_dict()
    assert after.keys() == old.keys(), "a merv-tiny can be downloaded nowhere, so all of it is saved"
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, old[name])}
    learning = {name for name, _ in before.named_parameters() if part_of(name) in TRAINED_PARTS[stage]}
    assert {part_of(name) for name in moved} == set(TRAINED_PARTS[stage])
    assert moved <= learning
    assert len(moved) > 0.9 * len(learning)  # a tied or unused vector may stay


@pytest.mark.parametrize("stage", TRAINED_PARTS)
def test_a_stage_gives_gradients_to_its_parts_alone(synthetic_data, tmp_path, stage):
    config = config_of(run_words(synthetic_data, tmp_path, "run", stage=stage))
    source = config.dataset.load(stage)
    model = config.model.build(seed=0)
    set_stage(model, stage, config.stage_config)
    clip = next(sample for sample in source if sample.has_visual)

    model(model.processor.collate([model.processor.prepare(clip)])).loss_sum.backward()

    touched = {part_of(name) for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == set(TRAINED_PARTS[stage])
    assert {name for name, part in model.parts().items() if part.training} == touched


def test_finetune_starts_from_the_align_run_of_its_model_id(synthetic_data, tmp_path, caplog):
    named = ["--model.model_id", "mine"]
    train(run_words(synthetic_data, tmp_path, "align-mine", *named, max_steps=2))
    train(run_words(synthetic_data, tmp_path, "align-other", "--model.model_id", "other", max_steps=2))
    words = run_words(synthetic_data, tmp_path, "next", *named, stage="finetune", max_steps=1, learning_rate=0.0)

    with caplog.at_level("INFO"):
        train(words)

    lineage = json.loads((tmp_path / "next" / "lineage.json").read_text())
    assert lineage["parents"] == [str(tmp_path / "align-mine")]
    assert f"starting from {tmp_path / 'align-mine' / 'model.safetensors'}" in caplog.text
    assert_same_weights(tmp_path / "next", tmp_path / "align-mine")  # a learning rate of 0 changes nothing


def test_finetune_says_when_there_is_no_align_run(synthetic_data, tmp_path, caplog):
    with caplog.at_level("INFO"):
        train(run_words(synthetic_data, tmp_path, "run", stage="finetune", max_steps=1))

    assert "no finished full-align or align run of model_id `merv-tiny`" in caplog.text


def test_a_parent_of_another_model_or_none_at_all_is_one_line(synthetic_data, tmp_path):
    train(run_words(synthetic_data, tmp_path, "a", max_steps=1))
    wrong = ["--pretrained_checkpoint", str(tmp_path / "a"), "--model.fusion.embed_dim", "32"]

    with pytest.raises(CheckpointError, match=r"is of another model: `fusion\..*"):
        train(run_words(synthetic_data, tmp_path, "b", *wrong, stage="finetune", max_steps=1))
    with pytest.raises(ConfigError, match=r"pretrained_checkpoint: there is no .*; name a finished run's folder"):
        train(run_words(synthetic_data, tmp_path, "b", "--pretrained_checkpoint", str(tmp_path / "no")))


def test_lora_trains_adapters_alone_and_the_next_stage_merges_them(synthetic_data, tmp_path):
    lora = {"lora.rank": 4, "lora.dropout": 0.1}
    train(run_words(synthetic_data, tmp_path, "lora", stage="finetune", max_steps=2, **lora))
    tensors, parts, found = read_parts(tmp_path / "lora" / "model.safetensors")
    config = config_of(run_words(synthetic_data, tmp_path, "x"))
    fresh = config.model.build(seed=config.seed).state_dict()

    base = {name.replace("base_layer.", ""): t for name, t in tensors.items() if "lora_" not in name}
    moved = {part_of(name) for name, tensor in base.items() if not torch.equal(tensor, fresh[name])}
    assert (found.rank, "llm" in parts) == (4, True)
    assert moved == {"projectors", "fusion"}
    assert any("lora_B" in name and tensor.any() for name, tensor in tensors.items())

    train(run_words(synthetic_data, tmp_path, "next", stage="full-finetune", max_steps=1, learning_rate=0.0))
    merged = config.model.build(seed=0)
    load_parts(merged, tmp_path / "lora" / "model.safetensors")
    after = load_file(tmp_path / "next" / "model.safetensors")
    assert json.loads((tmp_path / "next/lineage.json").read_text())["parents"] == [str(tmp_path / "lora")]
    assert after.keys() == fresh.keys()
    assert [name for name, tensor in after.items() if not torch.equal(tensor, merged.state_dict()[name])] == []


def test_merged_adapters_give_the_same_loss(synthetic_data, tmp_path):
    config = config_of(run_words(synthetic_data, tmp_path, "x"))
    source, model = config.dataset.load("finetune"), config.model.build(seed=0).eval()
    batch = model.processor.collate([model.processor.prepare(source[row]) for row in range(3)])
    plain = model(batch).loss_sum
    add_lora(model.llm.model, LoraConfig(rank=4))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    model.eval()

    adapted = model(batch).loss_sum
    merge_lora(model.llm.model)

    assert (adapted - plain).abs() > 0.1
    torch.testing.assert_close(model(batch).loss_sum, adapted, rtol=1e-5, atol=1e-5)


def test_resuming_reads_no_row_before_its_place_and_does_each_step_once(synthetic_data, tmp_path):
    words = run_words(synthetic_data, tmp_path, "run", max_steps=13)  # an epoch has 11 steps
    with stop_after(10):
        train(words)
    done = len(rows(tmp_path / "run"))

    with counted_rows() as prepared:
        train(words)
    assert done == 11
    assert prepared.call_count == 4 * (13 - done)
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(1, 14))

    with counted_rows() as prepared:
        assert train(words) == 0  # a finished run
    assert prepared.call_count == 0


def test_a_full_disk_stops_with_one_line_and_the_checkpoint_before_is_resumed(
    synthetic_data, tmp_path, monkeypatch, capsys
):
    saves = ["--save_checkpoint_after", "2"]
    words = run_words(synthetic_data, tmp_path, "run", *saves, max_steps=6)
    write = dcp.FileSystemWriter.write_data

    def full_at_4(self, *args):
        if "step-000004" in str(self.path):
            raise OSError(28, "No space left on device")
        return write(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(dcp.FileSystemWriter, "write_data", full_at_4)
        assert run_main(story.pretrain, PretrainConfig, words, prog="train") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train: error: checkpoint at step 4 cannot be written")
    assert "step-000002 is whole" in line

    train(words)
    train(run_words(synthetic_data, tmp_path, "whole", *saves, max_steps=6))
    assert course(tmp_path / "run") == course(tmp_path / "whole")
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_loss_that_is_not_finite_is_status_2_and_names_the_rows(synthetic_data, tmp_path, capsys):
    words = run_words(synthetic_data, tmp_path, "run", "--save_checkpoint_after", "1", max_steps=3)
    forward, calls = MultiEncoderLM.forward, []

    def not_a_number(self, batch):
        calls.append(batch.sample_ids)
        output = forward(self, batch)
        return output._replace(loss_sum=output.loss_sum * (float("nan") if len(calls) == 2 else 1.0))

    with mock.patch.object(MultiEncoderLM, "forward", not_a_number):
        assert run_main(story.pretrain, PretrainConfig, words, prog="train") == 2

    assert "train: error: step 1: loss nan" in capsys.readouterr().err.splitlines()[-1]
    record = json.loads((tmp_path / "run" / "not_finite-00000.json").read_text())
    assert record["batches"][0]["sample_ids"] == list(calls[1])
    assert (tmp_path / "run/checkpoints/latest").read_text() == "step-000001"
    assert train(words) == 0  # the checkpoint before it is whole


def test_a_checkpoint_of_another_model_is_refused_and_never_means_never(synthetic_data, tmp_path):
    train(run_words(synthetic_data, tmp_path, "run", max_steps=1))

    with pytest.raises(CheckpointError, match=r"fusion\.embed_dim is 64 there, 32 here; choose another --run_id"):
        train(run_words(synthetic_data, tmp_path, "run", "--model.fusion.embed_dim", "32", max_steps=2))
    with pytest.raises(CheckpointError, match="global_batch_size 4, this run 2"):
        train(run_words(synthetic_data, tmp_path, "run", max_steps=2, global_batch_size=2, per_device_batch_size=2))
    with pytest.raises(ConfigError, match="has checkpoints and --resume is never"):
        train(run_words(synthetic_data, tmp_path, "run", "--resume", "never", max_steps=2))


def test_batch_sizes_that_do_not_divide_are_one_line(synthetic_data, tmp_path):
    with pytest.raises(ConfigError, match=r"global_batch_size 6 is not a multiple of .* 4 x 1 processes = 4"):
        train(run_words(synthetic_data, tmp_path, "run", global_batch_size=6))

    assert not (tmp_path / "run").exists()


def test_an_unknown_strategy_is_refused_before_anything_is_loaded(synthetic_data, tmp_path):
    with pytest.raises(ValueError, match="fsdp-full-shard"):
        train(run_words(synthetic_data, tmp_path, "run", strategy="fsdp-full-shart"))


@pytest.mark.parametrize(
    ("device", "has_it", "wanted", "full", "expected"),
    [
        ("cpu", True, True, False, (torch.float32, torch.float32)),
        ("xpu", True, True, False, (torch.bfloat16, torch.bfloat16)),
        ("xpu", True, True, True, (torch.bfloat16, torch.float32)),
        ("xpu", False, True, False, (torch.float32, torch.float32)),
        ("xpu", True, False, False, (torch.float32, torch.float32)),
    ],
)
def test_bfloat16_is_chosen_where_it_is_wanted_and_the_device_has_it(device, has_it, wanted, full, expected):
    model = SimpleNamespace(enable_mixed_precision_training=wanted, reduce_in_full_precision=full)

    with mock.patch.object(torch.xpu, "is_bf16_supported", return_value=has_it):
        found = assemble.precision(model, torch.device(device))

    assert (found.compute, found.reduce) == expected
