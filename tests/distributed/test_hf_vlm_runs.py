"""Models of transformers: equal losses however a step is spread, and folders that transformers and peft open."""

import json
import os
from unittest import mock

import pytest
import torch
from helpers import course, run_distributed, train
from peft import PeftModel
from tiny_vlms import tiny_vlm
from transformers import AutoModelForImageTextToText, AutoProcessor

import merv
from merv import runtime
from merv.models.hf_vlm import loading
from merv.runs.load_vlm import load_vlm

STEPS = 3
ADAPTERS = {"lora.rank": 4, "lora.dropout": 0.0}
EXPERTS = {**ADAPTERS, "lora.target_modules": "[q_proj,gate_up_proj,down_proj,lm_head]"}
RUNS = {
    "qwen-lora": ("qwen2.5-vl", "finetune", ADAPTERS),
    "qwen-full": ("qwen2.5-vl", "full-finetune", {}),
    "aria-lora": ("aria", "finetune", EXPERTS),
    "aria-full": ("aria", "finetune", {}),
    "llava-full": ("llava", "full-finetune", {}),  # the last layer of its tower is never asked
}
SPREAD = {
    "qwen-lora": ("ddp", "fsdp-shard-grad-op"),
    "qwen-full": ("ddp", "fsdp-full-shard-offload"),
    "aria-lora": ("fsdp-full-shard",),
    "aria-full": ("ddp", "fsdp-full-shard-offload"),
    "llava-full": ("ddp",),
}


def words(data, root, folders, name, run_id, *, strategy="single", per_device=2, **more):
    """Command line of a small run of a tiny model."""
    model, stage, stage_options = RUNS[name]
    options = {"global_batch_size": 4, "per_device_batch_size": per_device, "max_steps": STEPS, **stage_options}
    options |= {"train_strategy": strategy, "learning_rate": 1e-3, **more}
    field = f"--model.{stage.replace('-', '_')}"
    line = ["--model.type", "hf-vlm", "--model.path", str(folders / model), "--model.dtype", "float32"]
    line += ["--model.num_frames", "2", "--model.enable_gradient_checkpointing", "false"]
    if model == "aria":
        line += ["--model.max_image_size", "490", "--model.freeze_projector", "true"]
    line += [*data, "--stage", stage, "--run_id", run_id, "--run_root_dir", str(root), "--num_workers", "0"]
    line += ["--trackers", "[jsonl]", "--collective_timeout_s", "60"]
    return line + [word for key, value in options.items() for word in (f"{field}.{key}", str(value))]


def parent(root):
    return ["--pretrained_checkpoint", str(root / "qwen-lora")]


def train_all_reading_once(runs):
    """Run the lines; where parameters are sharded, only the first process may read a model's weights."""
    read = loading.published

    def published(folder, **options):
        assert runtime.rank() == 0 or current["strategy"] == "ddp", current
        return read(folder, **options)

    current, statuses = {}, []
    for number, line in enumerate(runs):
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)
        current["strategy"] = [line[place + 1] for place, word in enumerate(line) if "train_strategy" in word][-1]
        with mock.patch.object(loading, "published", published):
            statuses.append(train(line))
    return statuses


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("vlms")
    for name in ("qwen2.5-vl", "aria", "llava"):
        tiny_vlm(name, root / name)
    return root


@pytest.fixture(scope="module")
def runs(mixed_data, apart_data, folders, tmp_path_factory):
    """Every run by one process, and by two under the strategies it is compared with."""
    root = tmp_path_factory.mktemp("runs")
    apart = [*apart_data, "--model.freeze_vision", "false"]
    two = [
        words(mixed_data, root, folders, name, f"{name}-{strategy}", strategy=strategy)
        for name, strategies in SPREAD.items()
        for strategy in strategies
    ]
    two += [
        words(
            apart,
            root,
            folders,
            "qwen-full",
            f"apart-{strategy}",
            strategy=strategy,
            per_device=1,
            global_batch_size=2,
        )
        for strategy in ("ddp", "fsdp-full-shard")
    ]
    for name in RUNS:
        train(words(mixed_data, root, folders, name, name))
    more = {name: [*words(mixed_data, root, folders, "qwen-lora", name), *parent(root)] for name in ("on", "on-fsdp")}
    train(more["on"])
    two.append([*more["on-fsdp"], "--model.finetune.train_strategy", "fsdp-full-shard"])
    run_distributed(train_all_reading_once, two, timeout_s=200)
    train(words(apart, root, folders, "qwen-full", "apart", global_batch_size=2))
    return root


def assert_equal(run, reference):
    assert len(course(reference)) == STEPS
    torch.testing.assert_close(course(run), course(reference), rtol=2e-5, atol=2e-5)


@pytest.mark.dist
@pytest.mark.parametrize(("name", "strategy"), [(name, each) for name, found in SPREAD.items() for each in found])
def test_two_processes_have_the_losses_of_one(runs, name, strategy):
    assert_equal(runs / f"{name}-{strategy}", runs / name)


@pytest.mark.dist
@pytest.mark.parametrize("strategy", ["ddp", "fsdp-full-shard"])
def test_a_process_that_drew_words_alone_keeps_step_with_one_that_drew_clips(runs, strategy):
    assert_equal(runs / f"apart-{strategy}", runs / "apart")


@pytest.mark.dist
@pytest.mark.parametrize(
    "run", ["qwen-lora", "qwen-lora-fsdp-shard-grad-op", "aria-lora", "aria-lora-fsdp-full-shard"]
)
def test_plain_peft_opens_an_adapter_and_computes_what_merv_does(runs, folders, run):
    base = folders / RUNS["-".join(run.split("-")[:2])][0]
    plain = AutoModelForImageTextToText.from_pretrained(base)
    before = plain(input_ids=IDS).logits

    opened = PeftModel.from_pretrained(plain, runs / run).eval()
    logits = opened(input_ids=IDS).logits

    own = merv.load(runs / run)
    torch.testing.assert_close(own.model(input_ids=IDS).logits, logits, rtol=1e-4, atol=1e-4)
    assert (logits - before).abs().max() > 1e-3


IDS = torch.tensor([[5, 9, 300, 310, 17]])


@pytest.mark.dist
@pytest.mark.parametrize(
    "run", ["qwen-full", "qwen-full-fsdp-full-shard-offload", "aria-full-fsdp-full-shard-offload"]
)
def test_plain_transformers_opens_the_folder_of_a_full_run(runs, folders, run):
    opened = AutoModelForImageTextToText.from_pretrained(runs / run).eval()
    logits = opened(input_ids=IDS).logits

    assert AutoProcessor.from_pretrained(runs / run).chat_template
    torch.testing.assert_close(merv.load(runs / run).model(input_ids=IDS).logits, logits, rtol=1e-5, atol=1e-5)
    model = RUNS["-".join(run.split("-")[:2])][0]
    base = AutoModelForImageTextToText.from_pretrained(folders / model)
    assert (base(input_ids=IDS).logits - logits).abs().max() > 1e-3


@pytest.mark.dist
def test_one_and_two_processes_leave_the_same_weights(runs):
    one, two = (AutoModelForImageTextToText.from_pretrained(runs / name) for name in ("qwen-full", "qwen-full-ddp"))

    for (path, first), second in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(second, first, rtol=1e-3, atol=2e-4, msg=path)


@pytest.mark.dist
def test_an_adapter_learns_on_from_where_it_was(runs):
    begun = course(runs / "on")[0][1]

    assert begun < course(runs / "qwen-lora")[0][1]
    assert json.loads((runs / "on" / "lineage.json").read_text())["parents"] == [str(runs / "qwen-lora")]
    assert_equal(runs / "on-fsdp", runs / "on")


@pytest.mark.dist
def test_the_base_of_an_adapter_is_the_one_it_names(runs, folders):
    model = load_vlm(runs / "qwen-lora", {})

    assert model.base == folders / "qwen2.5-vl"
