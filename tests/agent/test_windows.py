import json
from pathlib import Path

import pytest

from merv.agent.windows import guesses, min_seconds, widened
from merv.models.qwen2_vl.targets import clean_query

RECORDED = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "e_videomind_frames.json"


@pytest.fixture(scope="module")
def recorded():
    if not RECORDED.exists():
        pytest.skip("recorded values of VideoMind are not beside this checkout")
    return json.loads(RECORDED.read_text())


def test_windows_are_widened_as_published(recorded):
    for row in recorded["parse_span"]:
        found = widened(tuple(row["span"]), (0.0, row["duration"]), row["min_len"])

        assert found == pytest.approx(tuple(row["out"]))


def test_queries_are_cleaned_as_published(recorded):
    for row in recorded["parse_query"]:
        assert clean_query(row["q"]) == row["out"]


@pytest.mark.parametrize(
    ("window", "shown", "seconds", "wide"),
    [
        ((10.0, 12.0), (0.0, 100.0), 32.0, (0.0, 32.0)),
        ((50.0, 52.0), (0.0, 100.0), 32.0, (35.0, 67.0)),
        ((98.0, 99.0), (0.0, 100.0), 32.0, (68.0, 100.0)),
        ((10.0, 60.0), (0.0, 100.0), 32.0, (10.0, 60.0)),
        ((10.0, 12.0), (0.0, 20.0), 32.0, (0.0, 20.0)),
        ((32.0, 33.0), (30.0, 50.0), 10.0, (30.0, 40.0)),
        ((60.0, 0.0), (0.0, 100.0), 0.0, (0.0, 60.0)),
    ],
)
def test_a_short_window_grows_around_its_middle_within_what_is_shown(window, shown, seconds, wide):
    assert widened(window, shown, seconds) == wide


def test_five_guesses_cover_what_is_shown():
    assert guesses((0.0, 60.0)) == [(0, 20), (10, 30), (20, 40), (30, 50), (40, 60)]
    assert guesses((30.0, 36.0)) == [(30, 32), (31, 33), (32, 34), (33, 35), (34, 36)]


@pytest.mark.parametrize(
    ("task", "seconds"), [("rextime", 64), ("mvbench-videomind", 64), ("nextgqa", 32), ("mvbenchmark", 32)]
)
def test_the_shortest_stretch_is_the_published_one_of_the_task(task, seconds):
    assert min_seconds(task) == seconds
