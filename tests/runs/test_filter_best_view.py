"""`merv filter best-view`, with a CLIP that sees colours."""

import json

import pytest
from filters.colour_clip import paint, see_colours

from merv.filters.lineage import FILE
from merv.runs.cli import main

PUBLISHED = [
    *("input_directory", "output_directory", "processing_time_seconds", "total_vases", "total_original_images"),
    *("total_selected_images", "reduction_rate", "average_clip_score", "results"),
]
NAME = "{}_{}_ac001001.png"


@pytest.fixture
def colours(monkeypatch, tmp_path):
    return see_colours(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Object A with three views of which the second is best, B with one, C with one that cannot be read."""
    root = tmp_path / "in"
    for number, colour in enumerate(("blue", "red", "purple")):
        paint(root / NAME.format("A1", number), colour)
    paint(root / NAME.format("B2", 7), "lime")
    (root / NAME.format("C3", 0)).write_bytes(b"no picture")
    paint(root / "cover.png", "red")
    return root


def run(*words):
    return main(["filter", "best-view", *map(str, words)])


def reports(out):
    return [json.loads((out / name).read_text()) for name in ("best_views_report.json", "filtering_stats.json")]


def test_one_image_of_each_object_is_kept(folder, tmp_path, colours, capsys):
    assert run(folder, "--out", tmp_path / "out", *colours) == 0

    left = sorted(path.name for path in (tmp_path / "out" / "best_views").iterdir())
    assert left == [NAME.format("A1", 1), NAME.format("B2", 7)]
    said = capsys.readouterr().out
    assert "2 of 4 images, one of each object" in said
    assert "1 names or paths do not fit group_regex, such as cover.png" in said
    assert "1 images could not be read" in said


def test_both_reports_have_the_published_keys(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", *colours)

    report, stats = reports(tmp_path / "out")
    assert list(report)[: len(PUBLISHED)] == PUBLISHED
    assert (report["total_vases"], report["total_original_images"], report["total_selected_images"]) == (2, 4, 2)
    assert report["reduction_rate"] == 0.5
    assert [row["reason"] for row in report["results"]] == ["best_clip_score", "only_one_view"]
    assert [view["view_number"] for view in report["results"][0]["all_view_scores"]] == [0, 1, 2]
    assert (report["unmatched"], [row["filename"] for row in report["unreadable"]]) == (
        ["cover.png"],
        [NAME.format("C3", 0)],
    )
    assert list(stats) == ["summary", "view_distribution", "clip_score_stats"]
    assert stats["summary"]["reduction_rate"] == "50.0%"
    assert stats["view_distribution"] == {"1": 1, "3": 1}


def test_sentences_about_bad_pictures_are_not_needed(folder, tmp_path, colours):
    (tmp_path / "colours.yaml").write_text("positive: [blue]\n")

    run(folder, "--out", tmp_path / "out", *colours)

    assert (tmp_path / "out" / "best_views" / NAME.format("A1", 0)).is_file()


def test_another_pattern_groups_otherwise(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", "--group-regex", r"^([a-z])(.*)\.png", *colours)

    report, _ = reports(tmp_path / "out")
    assert [row["vase_id"] for row in report["results"]] == ["A", "B", "c"]
    assert report["results"][0]["selected_view"] == "1_1_ac001001"


def test_the_lineage_counts(folder, tmp_path, colours):
    run(folder, "--out", tmp_path / "out", *colours)

    lineage = json.loads((tmp_path / "out" / FILE).read_text())
    assert lineage["counts"] == {"images": 4, "selected": 2, "unmatched": 1, "unreadable": 1}
    assert lineage["inputs"][0]["num_images"] == 6


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--group-regex", "("], "is no regular expression"),
        (["--group-regex", "x"], "has no group"),
        (
            ["--group-regex", "(x)y"],
            "none of 6 names or paths in in fits group_regex `(x)y`, such as A1_0_ac001001.png",
        ),
        (["--out", "in"], "is there already"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.chdir(tmp_path)

    assert run("in", "--out", "out", "--model", "tiny", "--init", "random", *words) == 2

    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
