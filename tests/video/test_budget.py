"""Frames and sizes are those VideoMind's code was recorded with; clips it refuses are shown as far as they go."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from merv.errors import ConfigError, SampleError
from merv.video.budget import VisualBudget
from merv.video.media import Span

RECORDING = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "e_videomind_frames.json"
RECORDED = json.loads(RECORDING.read_text()) if RECORDING.exists() else {}
LIMITS = ("fps", "min_frames", "max_frames", "min_pixels", "max_pixels")

recorded = pytest.mark.skipif(not RECORDED, reason="recordings of VideoMind are not beside this checkout")


def budget_of(asked):
    return VisualBudget(**{name: asked[name] for name in LIMITS if name in asked})


def rows(name):
    return RECORDED.get(name, [])


def short(row):
    return "-".join(str(value) for key, value in row.items() if key not in ("out", "indices", "ele", "error"))


@recorded
@pytest.mark.parametrize("row", rows("smart_resize"), ids=short)
def test_a_frame_gets_the_recorded_size(row):
    assert list(budget_of(row).size(row["h"], row["w"])) == row["out"]


@recorded
@pytest.mark.parametrize("row", rows("smart_nframes"), ids=lambda row: f"{row['ele']}-{row['total']}-{row['fps']}")
def test_a_clip_gets_the_recorded_number_of_frames(row):
    if "nframes" in row["ele"]:
        pytest.skip("a fixed number of frames is no option here")

    found = budget_of(row["ele"]).num_frames(row["total"], row["fps"])

    if "error" in row:  # the original refuses: it wants more than there are
        assert found == row["total"] // 2 * 2
    else:
        assert found == row["out"]


@recorded
@pytest.mark.parametrize("row", rows("frames"), ids=short)
def test_the_recorded_frames_are_chosen_and_sized(row):
    budget, asked = budget_of(row["ele"]), row["ele"]
    whole = "video_start" not in asked and "video_end" not in asked
    end = asked.get("video_end", row["total_frames"] / row["fps"])
    span = None if whole else Span(asked.get("video_start", 0.0), end)

    found = budget.indices(row["total_frames"], row["fps"], span)

    assert found == row["indices"]
    assert [len(found), 3, *budget.size(row["height"], row["width"])] == row["out_shape"]


@pytest.mark.parametrize(("total", "most"), [(12_707, 768), (76_428, 150), (150_197, 64)])
def test_frames_of_long_videos_are_those_of_torch(total, most):
    # Where a number falls between two frames, the reference's float32 steps decide; numpy's doubles go the other way.
    assert (
        VisualBudget(max_frames=most).indices(total, 10.0) == torch.linspace(0, total - 1, most).round().int().tolist()
    )


@pytest.mark.parametrize(("total", "expected"), [(1, [0, 0]), (2, [0, 1]), (3, [0, 2]), (5, [0, 1, 3, 4])])
def test_a_clip_of_few_frames_shows_an_even_number_of_them(total, expected):
    assert VisualBudget().indices(total, 25.0) == expected


def test_a_span_of_one_frame_shows_it_twice():
    assert VisualBudget().indices(100, 25.0, Span(1.0, 1.0)) == [25, 25]


def test_a_span_past_the_end_stops_at_the_last_frame():
    assert VisualBudget().indices(100, 25.0, Span(3.0, 90.0))[-1] == 99
    assert VisualBudget().indices(100, 25.0, Span(50.0, 90.0)) == [99, 99]


@given(
    total=st.integers(1, 100_000),
    rate=st.floats(0.1, 240),
    fps=st.floats(0.05, 30),
    most=st.integers(2, 800),
    least=st.integers(2, 9),
)
def test_frames_ascend_stay_inside_and_come_in_pairs(total, rate, fps, most, least):
    budget = VisualBudget(fps=fps, min_frames=least, max_frames=most)

    found = budget.indices(total, rate)

    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < total
    assert len(found) % 2 == 0
    assert len(found) <= max(2, most)
    assert len(found) <= max(2, total)


@given(short=st.integers(1, 3000), ratio=st.floats(1, 3), upright=st.booleans())
def test_sizes_are_multiples_within_the_limits(short, ratio, upright):
    budget = VisualBudget(min_pixels=36 * 784, max_pixels=64 * 784)
    sides = (round(short * ratio), short)

    found = budget.size(*sides) if upright else budget.size(*sides[::-1])

    assert found[0] % 28 == found[1] % 28 == 0
    assert 36 * 784 <= found[0] * found[1] <= 64 * 784


def test_a_frame_two_hundred_times_longer_than_wide_is_the_last_that_fits():
    assert VisualBudget().size(28, 5600) == (28, 5600)
    with pytest.raises(SampleError, match=r"^frames of 5601x28 pixels are more than 200 times as long as wide$"):
        VisualBudget().size(28, 5601)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0.0}, "fps 0, factor 28 and frame_factor 2 must be above 0"),
        ({"fps": float("nan")}, "fps nan, factor 28"),
        ({"factor": 0}, "factor 0 and"),
        ({"min_frames": 1}, "min_frames is 1; it must be at least 2"),
        ({"max_frames": 1}, "max_frames is 1; it must be at least 2"),
        ({"min_pixels": 0}, "min_pixels 0, max_pixels"),
        ({"min_pixels": 5000, "max_pixels": 4000}, "expected 0 < min <= max"),
        ({"min_pixels": 1, "max_pixels": 783}, "room for 28 x 28"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        VisualBudget(**options)

    assert "\n" not in str(caught.value)
