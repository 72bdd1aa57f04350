import json

import numpy as np
import pytest
import torch
from PIL import Image

from merv.models.seen import Seen
from merv.runs.cli import main
from merv.runs.contact_sheet import Sheet, draw_sheet


def show(synthetic_data, *words):
    return main(["data", "show", "synthetic", *synthetic_data[2:], *words])


def colours(path):
    return len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0))


def test_a_row_is_drawn_and_told(synthetic_data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert show(synthetic_data, "--index", "3") == 0
    said = capsys.readouterr().out
    assert said.startswith("synthetic row 3, sample 3 of 40, id train-3\n  video ")
    assert "user: " in said
    assert "assistant: " in said
    assert colours(tmp_path / "show-synthetic-3.png") > 20


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("merv-tiny", ["</s>", "tokens, ", "of them learned"]),
        ("role-tiny-answerer", ["<|video_pad|> x ", "target: "]),
        ("vlm-tiny", ["<|im_start|>user\n<|vision_start|><|video_pad|> x ", "target: "]),
    ],
)
def test_a_model_is_shown_its_own_frames_and_tokens(model, told, synthetic_data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = synthetic_data[2:]
    name = "synthetic"
    if model.startswith("role"):
        name, data = "synthetic-answerer", ["--dataset.dataset_root_dir", str(tmp_path), "--dataset.num_clips", "4"]

    assert main(["data", "show", name, *data, "--model.type", model, "--index", "3", "--out", "a.png"]) == 0
    said = capsys.readouterr().out
    assert f"for {model}" in said
    for part in told:
        assert part in said
    assert colours(tmp_path / "a.png") > 20


def test_a_sample_is_found_by_its_id_and_from_the_end(synthetic_data, tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.png")]

    assert show(synthetic_data, "--id", "train-5", *out) == 0
    assert show(synthetic_data, "--index", "-35", *out) == 0
    first, second = capsys.readouterr().out.split("drawn:")[:2]
    assert first.splitlines()[0] == second.splitlines()[1] == "synthetic row 5, sample 5 of 40, id train-5"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--index", "40"], "index 40: dataset `synthetic` has 40 samples, 0 to 39"),
        (["--id", "nobody"], "dataset `synthetic` has no sample with the id `nobody`"),
        (["--out", "a.jpg"], "out is a.jpg; the picture is a PNG, name it a.png"),
        (["--num_frames", "0"], "num_frames is 0; give at least 1"),
    ],
)
def test_bad_input_is_one_line(words, line, synthetic_data, capsys):
    assert show(synthetic_data, *words) == 2

    said = capsys.readouterr().err
    assert line in said
    assert "Traceback" not in said


def test_a_bad_row_is_told_with_its_reason(tmp_path, capsys):
    rows = [
        {"id": "a", "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}]},
        {"id": "b"},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    components = ["--dataset.align_stage_components", "[rows.json,.]", "--dataset.dataset_root_dir", str(tmp_path)]

    assert main(["data", "show", "videollava", *components, "--stage", "align", "--id", "b"]) == 2
    said = capsys.readouterr().err
    assert "videollava row 1 (id `b`" in said
    assert "field conversations: found nothing" in said


def test_of_many_frames_some_are_drawn_and_moments_stand_below(tmp_path):
    frames = [torch.full((3, 8, 8), i % 256, dtype=torch.uint8) for i in range(300)]
    sheet = Sheet(
        "many", [Seen("a", frames, [i / 10 for i in range(300)])], [("user", "word " * 900)], [(3.0, 9.0)], 30.0
    )
    draw_sheet(sheet, tmp_path / "many.png")
    draw_sheet(Sheet("text alone", [], [("user", "a\nb")]), tmp_path / "text.png")

    orange = np.asarray(Image.open(tmp_path / "many.png").convert("RGB"))
    assert (orange == (255, 127, 14)).all(-1).sum() > 500
    assert Image.open(tmp_path / "text.png").height < 150
