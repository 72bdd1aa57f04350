import json
from pathlib import Path

import pytest

from merv.agent.windows import guesses, min_seconds
from merv.models.qwen2_vl.targets import clean_query

RECORDED = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "e_videomind_frames.json"


@pytest.fixture(scope="module")
def recorded():
    if not RECORDED.exists():
        pytest.skip("recorded values of VideoMind are not beside this checkout")
    return json.loads(RECORDED.read_text())


def test_queries_are_cleaned_as_published(recorded):
    for row in recorded["parse_query"]:
        assert clean_query(row["q"]) == row["out"]


def test_five_guesses_cover_what_is_shown():
    assert guesses((0.0, 60.0)) == [(0, 20), (10, 30), (20, 40), (30, 50), (40, 60)]
    assert guesses((30.0, 36.0)) == [(30, 32), (31, 33), (32, 34), (33, 35), (34, 36)]


@pytest.mark.parametrize(
    ("task", "seconds"), [("rextime", 64), ("mvbench-videomind", 64), ("nextgqa", 32), ("mvbenchmark", 32)]
)
def test_the_shortest_stretch_is_the_published_one_of_the_task(task, seconds):
    assert min_seconds(task) == seconds
