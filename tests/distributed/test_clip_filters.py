"""The filters by CLIP and by likeness under torchrun: two processes write what one writes."""

import json

import pytest
from filters.colour_clip import see_colours
from filters.pictures import shapes
from helpers import run_distributed

from merv.conf.parse import parse
from merv.runs.filter_best_view import BestViewConfig, filter_best_view
from merv.runs.filter_clip import ClipQualityConfig, filter_clip_quality
from merv.runs.filter_duplicates import NearDuplicatesConfig, filter_near_duplicates

pytestmark = pytest.mark.dist

TINY = ["--model", "tiny", "--init", "random", "--batch_size", "4", "--num_workers", "0"]
DUPLICATES = "near_duplicates_report.json"
COMMANDS = {
    "clip-quality": (filter_clip_quality, ClipQualityConfig, ["--sample_size", "5"], "filtering_report.json"),
    "best-view": (filter_best_view, BestViewConfig, [], "best_views_report.json"),
    "by phash": (filter_near_duplicates, NearDuplicatesConfig, [], DUPLICATES),
    "by clip": (filter_near_duplicates, NearDuplicatesConfig, ["--by", "clip", "--similarity", "0.999"], DUPLICATES),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Views of three objects, the last a copy of the first, and a file that is no picture."""
    root = tmp_path_factory.mktemp("pictures") / "in"
    root.mkdir()
    for number in range(9):
        shapes(number % 8).save(root / f"{'ABC'[number % 3]}_{number}_ac001001.png")
    (root / "A_99_ac001001.png").write_bytes(b"no picture")
    return root


def run(name, folder, out):
    """One of the commands; open_clip takes seconds to import, so most see with the CLIP that sees colours."""
    action, config, words, _ = COMMANDS[name]
    said = []
    with pytest.MonkeyPatch.context() as patch:
        if name != "clip-quality":
            see_colours(patch, folder.parent)
        action(parse(config, ["--folder", str(folder), "--out", str(out), *TINY, *words]), write=said.append)
    return "".join(said)


def written(out, name):
    """The report without what differs between two runs, and the tree."""
    report = json.loads((out / COMMANDS[name][3]).read_text())
    own = {key: report[key] for key in report if key not in ("processing_time_seconds", "output_directory")}
    return own, sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))


@pytest.mark.parametrize("name", COMMANDS)
def test_two_processes_write_what_one_writes(name, folder, tmp_path):
    run(name, folder, tmp_path / "one")

    told, silent = run_distributed(run, name, folder, tmp_path / "two", timeout_s=240.0)

    assert written(tmp_path / "one", name) == written(tmp_path / "two", name)
    assert "1 images could not be read" in told
    assert silent == ""
