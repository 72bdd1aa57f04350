import json
from pathlib import Path

import pytest

from merv.runs.cli import main


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def options(synthetic_data):
    return synthetic_data[2:]


def test_a_dataset_that_can_be_trained_on_gives_status_zero_and_a_report(synthetic_data, tmp_path, capsys):
    assert main(["data", "check", "synthetic", *options(synthetic_data), "--decode", "3"]) == 0

    said = capsys.readouterr().out
    assert "synthetic: 40 rows, 40 usable (34 video, 4 image, 2 text)" in said
    assert "decoded: 3 tried, 0 cannot be used" in said
    [report] = json.loads((tmp_path / "data-check" / "synthetic" / "report.json").read_text())
    assert (report["rows"], report["tried"], report["bad_fraction"]) == (40, 3, 0.0)


def test_a_mixture_is_told_dataset_by_dataset(synthetic_data, tmp_path, capsys):
    root = synthetic_data[3]
    each = f"{{type: synthetic, dataset_root_dir: {root}, num_train: 40, num_eval: 4, dataset_id: NAME}}"
    sets = f"[{each.replace('NAME', 'one')}, {each.replace('NAME', 'two')}]"

    assert main(["data", "check", "mixture", "--dataset.datasets", sets, "--decode", "4", "--out", "o"]) == 0
    said = capsys.readouterr().out
    assert "one: 40 rows" in said
    assert "| two " in said
    assert [report["tried"] for report in json.loads(Path("o/report.json").read_text())] == [2, 2]


def small_list(tmp_path, num_missing):
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A shape."}]
    rows = [{"id": str(i), "image": f"{i}.png", "conversations": turns} for i in range(4)]
    for i in range(4 - num_missing):
        (tmp_path / f"{i}.png").write_bytes(PNG)
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    return ["--dataset.align_stage_components", "[rows.json,.]", "--dataset.dataset_root_dir", str(tmp_path)]


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)


def test_missing_media_give_status_one_and_their_names(tmp_path, capsys):
    words = ["data", "check", "videollava", *small_list(tmp_path, 2), "--stage", "align"]

    assert main(words) == 1
    said = capsys.readouterr().out
    assert f"2 of 4 missing in {tmp_path}" in said
    assert "50.0 % of the rows of videollava are bad, and 1 % may be: a training stops once it has tried 200" in said
    missing = Path("data-check/videollava/missing_media.txt").read_text().split()
    assert missing == [str(tmp_path / "2.png"), str(tmp_path / "3.png")]
    assert main([*words, "--max_bad_fraction", "0.6"]) == 0


def test_media_that_do_not_decode_are_listed_with_the_reason(tmp_path, capsys):
    words = ["data", "check", "videollava", *small_list(tmp_path, 0), "--stage", "align", "--decode", "null"]
    (tmp_path / "3.png").write_text("no picture")

    assert main(words) == 1
    assert "decoded: 4 tried, 1 cannot be used" in capsys.readouterr().out
    [line] = Path("data-check/videollava/broken_media.txt").read_text().splitlines()
    assert line.startswith(f"{tmp_path / '3.png'}\t")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "which dataset? merv data check NAME"),
        (["synthetic", "twice"], "`twice` is no option: merv data check NAME"),
        (["syntetic"], "`dataset.type` is `syntetic`; did you mean `synthetic`"),
        (["synthetic", "--decode", "-1"], "decode is -1; give a number of media, 0 for none or null for all"),
        (["synthetic", "--num_workers", "0"], "num_workers 0 must be at least 1"),
        (["synthetic", "--max_bad_fraction", "2"], "max_bad_fraction is 2.0; it is a share of the rows"),
        (["qvhighlights"], "highlight_train_release.jsonl"),
    ],
)
def test_bad_input_is_one_line(words, line, capsys):
    assert main(["data", "check", *words]) == 2

    said = capsys.readouterr().err
    assert line in said
    assert "Traceback" not in said


def test_a_missing_dataset_is_drawn_as_it_should_be(capsys):
    assert main(["data", "check", "qvhighlights"]) == 2

    assert "├── highlight_train_release.jsonl\n└── videos_3fps_480_noaudio" in capsys.readouterr().err


def test_a_list_is_checked_before_its_videos_are_there(tmp_path, capsys):
    folder = tmp_path / "qvhighlights"
    folder.mkdir()
    row = {"qid": 1, "query": "a", "vid": "v", "duration": 150, "relevant_windows": [[2, 60]]}
    (folder / "highlight_train_release.jsonl").write_text(json.dumps(row) + "\n")

    assert main(["data", "check", "qvhighlights", "--dataset.dataset_root_dir", str(tmp_path)]) == 1
    assert f"1 of 1 missing in {folder / 'videos_3fps_480_noaudio'}" in capsys.readouterr().out


def test_seconds_are_those_of_the_decoded_videos_where_rows_do_not_say(synthetic_data, tmp_path, capsys):
    assert main(["data", "check", "synthetic", *options(synthetic_data), "--decode", "null"]) == 0

    assert "  seconds of 34 videos that were decoded: " in capsys.readouterr().out
    assert (tmp_path / "data-check" / "synthetic" / "histograms.png").is_file()
    assert main(["data", "check", "synthetic", *options(synthetic_data), "--decode", "0"]) == 0
    assert not (tmp_path / "data-check" / "synthetic" / "histograms.png").exists()


def test_a_path_in_the_place_of_a_name_is_told(capsys):
    assert main(["data", "check", "own/list.jsonl"]) == 2

    assert "`own/list.jsonl` is a path; name a dataset, for a list of your own: merv data check messages" in (
        capsys.readouterr().err
    )
