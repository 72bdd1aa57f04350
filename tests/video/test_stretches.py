import json
from pathlib import Path

import pytest

from merv.video.stretches import inside, widened

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


def test_a_window_is_turned_and_kept_within_what_is_shown():
    assert inside((70.0, -1.0), (0.0, 60.0)) == (0.0, 60.0)
    assert inside((2.0, 3.0), (10.0, 60.0)) == (10.0, 10.0)
