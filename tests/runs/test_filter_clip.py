"""`merv filter clip-quality`, with a CLIP that sees colours and with a tiny one of open_clip."""

import json

import numpy as np
import pytest
from filters.colour_clip import paint, see_colours

from merv.filters.lineage import FILE
from merv.runs.cli import main

TINY = ("--model", "tiny", "--init", "random")
PUBLISHED = [
    *("input_directory", "output_directory", "total_images", "accepted_images", "rejected_images"),
    *("acceptance_rate", "threshold", "processing_time_seconds", "results"),
]
ROW = ["filename", "quality_score", "high_quality_similarity", "low_quality_similarity", "accepted"]


@pytest.fixture
def colours(monkeypatch, tmp_path):
    return see_colours(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures from red to blue, two of them of one name, and a file that is no picture."""
    for number, red in enumerate(np.linspace(255, 0, 10).astype(int)):
        paint(tmp_path / "in" / ("below" if number % 2 else "") / f"{number // 2}.png", (int(red), 0, int(255 - red)))
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    return tmp_path / "in"


def run(*words):
    return main(["filter", "clip-quality", *map(str, words)])


def report_of(out):
    return json.loads((out / "filtering_report.json").read_text())


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_images_nearer_to_good_sentences_are_accepted(folder, tmp_path, colours, capsys):
    out = tmp_path / "out"

    assert run(folder, "--out", out, "--threshold", "0", *colours) == 0

    assert names(out / "accepted") == ["0.png", "1.png", "2.png", "below/0.png", "below/1.png"]
    assert names(out / "rejected") == ["3.png", "4.png", "below/2.png", "below/3.png", "below/4.png"]
    assert "5 of 10 images score 0.0000 or more\n1 images could not be read" in capsys.readouterr().out


def test_the_report_has_the_published_keys_first_and_counts_what_was_scored(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--threshold", "0", *colours)

    report = report_of(tmp_path / "out")
    assert list(report)[: len(PUBLISHED)] == PUBLISHED
    assert all(list(row) == ROW for row in report["results"])
    assert (report["total_images"], report["accepted_images"], report["rejected_images"]) == (10, 5, 5)
    assert (report["acceptance_rate"], report["threshold"]) == (0.5, 0.0)
    assert [row["filename"] for row in report["unreadable"]] == ["broken.jpg"]
    assert min(row["quality_score"] for row in report["results"]) == -1.0  # that of pure blue, and of no unread file
    assert report["prompts"]["positive"] == ["red"]
    assert report["model"] == {"name": "colours"}


def test_the_automatic_threshold_is_the_one_the_analysis_shows(folder, tmp_path, colours, capsys):
    sample = ("--sample_size", "6", "--seed", "5", *colours)
    assert run(folder, "--analyze", "--out", tmp_path / "look", *sample) == 0
    said = capsys.readouterr().out

    assert run(folder, "--out", tmp_path / "out", "--threshold", "auto", *sample) == 0

    analysis = json.loads((tmp_path / "look" / "quality_analysis.json").read_text())
    assert report_of(tmp_path / "out")["threshold"] == analysis["p25"] == analysis["threshold"]
    assert f"{analysis['p25']:+.4f}  66.7%   (auto)" in said


def test_an_analysis_leaves_numbers_and_a_picture_and_no_images(folder, tmp_path, colours):
    run(folder, "--analyze", "--out", tmp_path / "look", *colours)

    left = {path.name for path in (tmp_path / "look").iterdir()}
    assert left == {"quality_analysis.json", "quality_histogram.png", FILE}


def test_another_seed_is_another_sample(folder, tmp_path, colours):
    for seed in ("1", "2"):
        run(folder, "--analyze", "--sample_size", "4", "--seed", seed, "--out", tmp_path / seed, *colours)

    one, other = (json.loads((tmp_path / seed / "quality_analysis.json").read_text()) for seed in ("1", "2"))
    assert one["mean"] != other["mean"]


def test_nothing_is_asked_on_stdin(folder, tmp_path, colours, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *args: pytest.fail("asked"))
    monkeypatch.setattr("sys.stdin", None)

    assert run(folder, "--out", tmp_path / "out", *colours) == 0


def test_lists_name_images_and_copy_none(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--threshold", "0.5", "--mode", "list", *colours)

    accepted = (tmp_path / "out" / "accepted.txt").read_text().splitlines()
    assert accepted == [str(folder / name) for name in ("0.png", "1.png", "below/0.png")]
    assert not (tmp_path / "out" / "accepted").exists()


def test_links_are_the_same_files(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--threshold", "0", "--mode", "link", *colours)

    assert (tmp_path / "out" / "accepted" / "0.png").samefile(folder / "0.png")


def test_folders_below_can_be_left_out(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--recursive", "false", *colours)

    assert report_of(tmp_path / "out")["total_images"] == 5


def test_the_lineage_names_what_was_read_and_what_chose(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--threshold", "0", *colours)

    lineage = json.loads((tmp_path / "out" / FILE).read_text())
    assert lineage["command"] == "merv filter clip-quality"
    assert lineage["counts"] == {"images": 10, "unreadable": 1, "accepted": 5, "rejected": 5}
    assert lineage["inputs"][0]["num_images"] == 11
    assert lineage["options"]["threshold"] == 0.0


def test_an_open_clip_model_scores_the_same_whatever_the_batch(folder, tmp_path):
    for size in ("3", "32"):
        assert run("--batch_size", size, *TINY, folder, "--out", tmp_path / size) == 0

    one, other = ([row["quality_score"] for row in report_of(tmp_path / size)["results"]] for size in ("3", "32"))
    assert one == pytest.approx(other, abs=2e-6)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--threshold", "high"], "`threshold` is `high`; expected float | auto"),
        (["--sample_size", "0"], "sample_size is 0"),
        (["--mode", "move"], "`mode` is `move`"),
        (["--model", "vit"], "open_clip has no model `vit`"),
        (["--prompts", "none.yaml"], "prompts `none.yaml` cannot be read"),
        (["more"], "`more` is no option"),
        (["--out", "in"], "in is there already"),
        (["--out", "in/out"], "lies in"),
        (["--folder", "in"], "stands beside --folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)

    assert run("in", "--out", "out", *TINY, *words) == 2

    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize(
    ("left", "line"), [([], "holds no images"), (["broken.jpg"], "none of 1 images could be read")]
)
def test_a_folder_without_pictures_is_one_line(folder, tmp_path, capsys, colours, left, line):
    for path in [path for path in folder.rglob("*.*") if path.name not in left]:
        path.unlink()

    assert run(folder, "--out", tmp_path / "out", *colours) == 2

    assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))
