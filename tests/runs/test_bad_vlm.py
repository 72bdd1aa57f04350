"""Models of transformers: what a user gets wrong is one line and exit status 2; unusable rows are listed."""

import json
from pathlib import Path

import pytest
from tiny_vlms import tiny_vlm

from merv.runs.cli import main

SMALL = {"max_steps": 1, "global_batch_size": 2, "per_device_batch_size": 2, "train_strategy": "single"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("vlms")
    return {name: tiny_vlm(name, root / name) for name in ("qwen2.5-vl", "aria", "llava")}


def words(path, data, root, *more):
    """Command line of a run of one step."""
    line = ["train", "--model.type", "hf-vlm", "--model.path", str(path), "--model.dtype", "float32", *data]
    line += ["--model.num_frames", "2", "--run_id", "bad", "--run_root_dir", str(root), "--num_workers", "0"]
    sizes = [word for key, value in SMALL.items() for word in (f"--model.finetune.{key}", str(value))]
    return [*line, "--trackers", "jsonl", *sizes, *more]


def refused(line, capsys):
    assert main(line) == 2
    lines = [text for text in capsys.readouterr().err.splitlines() if " WARNING " not in text and " INFO " not in text]
    assert len(lines) == 1, lines
    return lines[0].partition(": error: ")[2]


@pytest.mark.parametrize(
    ("model", "more", "line"),
    [
        (
            "llava",
            ["--model.finetune.lora.rank", "2", "--model.finetune.lora.target_modules", "q_porj"],
            "names `q_porj`",
        ),
        ("llava", ["--model.freeze_llm_layers", "0,7"], "names layer 7; the language model has 0 to 1"),
        ("llava", ["--model.max_image_size", "490"], "max_image_size is no option of"),
        ("llava", ["--model.expert_z_weight", "0.1"], "has no experts; set expert_balance_weight"),
        ("llava", ["--model.attention", "flash_attention_2"], "needs the package flash-attn"),
        (
            "llava",
            ["--model.freeze_llm", "true", "--model.freeze_projector", "true"],
            "trains no part of the model with freeze_projector, freeze_llm",
        ),
        (
            "llava",
            ["--pretrained_checkpoint", "nowhere"],
            "nowhere holds neither a model of transformers nor an adapter",
        ),
        ("aria", ["--model.max_image_size", "500"], "500"),
    ],
)
def test_an_option_that_does_not_fit_the_model_is_one_line(
    model, more, line, folders, synthetic_data, tmp_path, capsys
):
    assert line in refused(words(folders[model], synthetic_data, tmp_path, *more), capsys)
    assert not (tmp_path / "bad").exists()


def test_a_model_that_is_not_there_is_one_line(synthetic_data, tmp_path, capsys):
    assert "none does not exist" in refused(words(tmp_path / "none", synthetic_data, tmp_path), capsys)


def test_new_adapters_on_a_merged_one_are_refused(folders, synthetic_data, tmp_path, capsys):
    more = ["--model.adapter", "runs/other", "--model.finetune.lora.rank", "2"]

    told = refused(words(folders["llava"], synthetic_data, tmp_path, *more), capsys)

    assert "runs/other" in told


def rows_of(synthetic_data, tmp_path, rows):
    """Words that name messages about drawn clips."""
    media = Path(synthetic_data[3]) / "download" / "synthetic"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"type": "messages", "annotations": tmp_path / "rows.jsonl", "media_root": media}
    return [word for name, value in options.items() for word in (f"--dataset.{name}", str(value))]


def clip_row(synthetic_data, **more):
    media = Path(synthetic_data[3]) / "download" / "synthetic"
    clip = sorted((media / "videos").glob("*.mp4"))[0].relative_to(media)
    ask = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What?"}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": "ring"}]}
    return {"messages": [ask, said], "video": {"path": str(clip), "num_frames": 2}, **more}


def ledger(tmp_path):
    return [json.loads(line) for line in (tmp_path / "bad" / "bad_samples.jsonl").read_text().splitlines()]


def test_a_cut_into_image_tokens_goes_to_the_ledger(folders, synthetic_data, tmp_path, capsys):
    long = clip_row(synthetic_data, video={**clip_row(synthetic_data)["video"], "num_frames": 64})
    data = rows_of(synthetic_data, tmp_path, [clip_row(synthetic_data)] * 3 + [long])
    more = ["--model.max_length", "128", "--max_bad_fraction", "0.5", "--model.finetune.max_steps", "2"]

    status = main(words(folders["aria"], data, tmp_path, *more, "--model.max_image_size", "490"))

    assert status == 0
    [row] = ledger(tmp_path)
    assert row["row"] == 3
    assert "tokens, 128 fit, and the cut would fall into image tokens" in row["reason"]


def test_places_without_media_go_to_the_ledger(folders, synthetic_data, tmp_path, capsys):
    good = clip_row(synthetic_data)
    twice = {**good, "messages": [{**good["messages"][0], "content": [{"type": "video"}] * 2}, good["messages"][1]]}
    data = rows_of(synthetic_data, tmp_path, [good, good, good, twice])

    assert main(words(folders["qwen2.5-vl"], data, tmp_path, "--max_bad_fraction", "0.5")) == 0

    [row] = ledger(tmp_path)
    assert row["row"] == 3
    assert "2" in row["reason"]
    assert "place" in row["reason"]


def test_images_beside_a_video_go_to_the_ledger_where_frames_are_images(folders, synthetic_data, tmp_path, capsys):
    media = Path(synthetic_data[3]) / "download" / "synthetic"
    image = next(path for path in media.rglob("*") if path.suffix in (".png", ".jpg")).relative_to(media)
    good = clip_row(synthetic_data)
    shown = [{"type": "image", "path": str(image)}, {"type": "video", "video": good["video"]["path"]}]
    both = {
        "messages": [{"role": "user", "content": [*shown, {"type": "text", "text": "Which?"}]}, good["messages"][1]]
    }
    data = rows_of(synthetic_data, tmp_path, [good, good, good, both])
    more = ["--max_bad_fraction", "0.5", "--model.max_image_size", "490", "--model.finetune.max_steps", "2"]

    assert main(words(folders["aria"], data, tmp_path, *more)) == 0

    [row] = ledger(tmp_path)
    assert "images and a video" in row["reason"]
