"""`merv filter near-duplicates`, by hash and by a CLIP that sees colours."""

import json

import pytest
from filters.colour_clip import paint, see_colours
from filters.pictures import shapes

from merv.filters.lineage import FILE
from merv.runs.cli import main


@pytest.fixture
def colours(monkeypatch, tmp_path):
    return see_colours(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Five pictures; of the first two also smaller copies, one of another format, and a file that is no picture."""
    root = tmp_path / "in"
    root.mkdir()
    for number in range(5):
        shapes(number, size=96).save(root / f"{number}.png")
    for number, name in ((0, "a.jpg"), (0, "b.png"), (1, "copies/1.png")):
        (root / name).parent.mkdir(exist_ok=True)
        shapes(number, size=96).resize((48, 48)).save(root / name)
    (root / "broken.png").write_bytes(b"no picture")
    return root


def run(*words):
    return main(["filter", "near-duplicates", *map(str, words)])


def report_of(out):
    return json.loads((out / "near_duplicates_report.json").read_text())


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_the_copy_with_the_most_pixels_stays(folder, tmp_path, capsys):
    assert run(folder, "--out", tmp_path / "out") == 0

    assert names(tmp_path / "out" / "kept") == [f"{number}.png" for number in range(5)]
    assert names(tmp_path / "out" / "removed") == ["a.jpg", "b.png", "copies/1.png"]
    assert "5 of 8 images are kept; groups that look the same: 2" in capsys.readouterr().out


def test_the_report_says_how_far_each_is_from_the_one_that_stays(folder, tmp_path):
    run(folder, "--out", tmp_path / "out")

    report = report_of(tmp_path / "out")
    assert (report["total_images"], report["kept_images"], report["removed_images"]) == (8, 5, 3)
    first, second = report["groups"]
    assert first["kept"] == {"filename": "0.png", "pixels": 96 * 96}
    assert [row["filename"] for row in first["removed"]] == ["a.jpg", "b.png"]
    assert all(row["pixels"] == 48 * 48 and 0 <= row["distance"] <= 6 for row in first["removed"])
    assert second["kept"]["filename"] == "1.png"
    assert [row["filename"] for row in report["unreadable"]] == ["broken.png"]


def test_of_equal_sizes_the_first_by_path_stays(tmp_path):
    for name in ("b.png", "a.png"):
        paint(tmp_path / "in" / name, "red")

    run(tmp_path / "in", "--out", tmp_path / "out")

    assert names(tmp_path / "out" / "kept") == ["a.png"]


def test_by_clip_images_of_one_colour_are_the_same(tmp_path, colours):
    for name, colour in (("a", "red"), ("b", (250, 10, 0)), ("c", "blue")):
        paint(tmp_path / "in" / f"{name}.png", colour)

    assert run(tmp_path / "in", "--out", tmp_path / "out", "--by", "clip", "--similarity", "0.99") == 0

    report = report_of(tmp_path / "out")
    assert names(tmp_path / "out" / "removed") == ["b.png"]
    assert report["groups"][0]["removed"][0]["similarity"] == pytest.approx(0.9992, abs=1e-4)
    assert report["model"] == {"name": "colours"}
    assert "distance" not in report


def test_hashes_need_no_clip(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)

    assert run(folder, "--out", tmp_path / "out", "--mode", "list") == 0

    assert len((tmp_path / "out" / "kept.txt").read_text().splitlines()) == 5
    lineage = json.loads((tmp_path / "out" / FILE).read_text())
    assert lineage["counts"] == {"images": 8, "kept": 5, "removed": 3, "unreadable": 1}
    assert lineage["model"] is None


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--distance", "17"], "distance is 17; it is a number of bits, 0 to 16"),
        (["--similarity", "0"], "similarity is 0.0; it is a cosine"),
        (["--by", "eye"], "`by` is `eye`"),
        (["--by", "clip", "--model", "vit"], "open_clip has no model `vit`"),
        (["--out", "in"], "is there already"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)

    assert run("in", "--out", "out", *words) == 2

    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
