import pytest
import torch

from merv import runtime
from merv.runs.cli import main

TINY = ["train", "--model.type", "merv-tiny", "--stage", "align", "--plan"]


@pytest.fixture(autouse=True)
def untouched(tmp_path, monkeypatch):
    """A plan leaves no file and touches no accelerator."""

    def touched(*args, **options):
        raise AssertionError("the plan touches an accelerator")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "device", touched)
    monkeypatch.setattr(torch.cuda, "_lazy_init", touched)
    yield
    assert list(tmp_path.iterdir()) == []


def planned(words, capsys) -> str:
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_the_plan_tells_steps_tokens_memory_and_parts(synthetic_data, capsys):
    sizes = ["--model.align.global_batch_size", "8", "--model.align.per_device_batch_size", "2", "--run_id", "007"]

    text = planned([*TINY, *synthetic_data, *sizes], capsys)

    assert text.startswith("plan of runs/007: merv-tiny, stage align\n")
    assert "strategy fsdp-full-shard, 1 process, 8 samples a step in micro-batches of 2\n" in text
    assert "4 micro-batches a step on each process\n" in text
    assert "about 5 steps over 40 rows of `synthetic`\n" in text
    assert "16 visual tokens a row, 128 a step at most" in text
    assert " MB over all processes" in text
    rows = {
        cells[1].strip(): cells[2].strip()
        for cells in map(lambda line: line.split("|"), text.splitlines())
        if cells[1:]
    }
    assert rows == {
        "part": "learns",
        "---------------": "------",
        "video_backbones": "no",
        "projectors": "yes",
        "fusion": "yes",
        "llm": "no",
        "all": "",
    }
    assert "missing" not in text


def test_data_that_is_not_there_and_sizes_that_do_not_divide_are_listed(capsys):
    text = planned([*TINY, "--dataset.type", "videollava", "--model.align.per_device_batch_size", "5"], capsys)

    missing = text.partition("\nmissing:\n")[2].splitlines()
    assert missing[0].startswith("- global_batch_size 32 is not a multiple of per_device_batch_size 5 x 1")
    assert missing[1].startswith("- annotation file data/download/videollava/valley_llavaimage.json is missing")
    assert missing[2:4] == ["  data/download/videollava", "  ├── valley_llavaimage.json"]
    assert "steps: unknown without the data\n" in text


def test_every_part_that_is_not_there_is_listed(capsys):
    parts = ["--model.video_backbone_ids", "tiny-frames,eye-a,eye-b", "--model.llm_backbone_id", "mouth"]

    text = planned([*TINY, "--dataset.type", "synthetic", *parts], capsys)

    missing = text.partition("\nmissing:\n")[2].splitlines()
    assert [line.split(";")[0] for line in missing] == [
        "- dataset `synthetic`: data/download/synthetic is not drawn yet",
        "- unknown video backbone `eye-a`",
        "- unknown video backbone `eye-b`",
        "- unknown LLM backbone `mouth`",
    ]


def test_parts_that_do_not_fit_are_told(synthetic_data, capsys):
    text = planned([*TINY, *synthetic_data, "--model.projector.type", "mlp"], capsys)

    assert "- the model cannot be laid out: fusion `cross_attention`: the encoders give [256, 128, 256] tokens" in text


@pytest.mark.parametrize("stage", ["align", "finetune"])
def test_the_published_model_is_planned_without_its_data(stage, capsys):
    text = planned(["train", "--plan", "--stage", stage], capsys)

    assert text.startswith(f"plan of runs/merv-base-{stage}: merv-base, stage {stage}\n")
    assert "\nmissing:\n- annotation file data/download/videollava/" in text
