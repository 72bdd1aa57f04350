import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.video.media import Span
from merv.video.sampling import stride, uniform_indices, uniform_times

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "load_video.json").read_text())

counts = st.integers(1, 10_000)
some = st.integers(1, 64)


def span_of(kwargs):
    start, end = (float(kwargs.get(key, "nan")) for key in ("clip_start_sec", "clip_end_sec"))
    if math.isnan(start) and math.isnan(end):
        return None
    return Span(0.0 if math.isnan(start) else start, math.inf if math.isnan(end) else end)


def is_sound(row):
    return row["monotonic"] and not row["out_of_range"]


def found(row):
    return uniform_indices(
        row["n_frames"], row["num_frames"], row["fps"], span_of(row["kwargs"]), row["kwargs"].get("end_frame")
    )


@pytest.mark.parametrize("row", [r for r in GOLDEN["table"] if is_sound(r)], ids=str)
def test_uniform_indices_are_those_of_the_reference(row):
    assert found(row) == row["indices"]


@pytest.mark.parametrize("row", [r for r in GOLDEN["table"] if not is_sound(r)], ids=str)
def test_a_span_past_the_end_gives_the_last_frame_where_the_reference_leaves_the_video(row):
    assert found(row) == [row["n_frames"] - 1] * row["num_frames"]


@pytest.mark.parametrize("row", GOLDEN["directories"], ids=str)
def test_folders_of_frames_are_sampled_as_in_the_reference(row):
    assert uniform_indices(row["n_files"], row["num_frames"], 3.0, span_of(row["kwargs"])) == row["indices"]


@pytest.mark.parametrize("row", GOLDEN["per_encoder_striding"], ids=str)
def test_stride_shares_one_decode_as_the_reference_does(row):
    total = max(row["num_frames"])

    assert [stride(total, n) for n in row["num_frames"]] == row["per_encoder_indices"]


@given(counts, some, st.floats(0.1, 240), st.floats(0, 1e5), st.floats(0, 1e5), st.none() | st.integers(-1, 20_000))
def test_uniform_indices_are_sorted_in_bounds_and_of_the_asked_number(total, frames, fps, start, length, last):
    indices = uniform_indices(total, frames, fps, Span(start, start + length), last)

    assert len(indices) == frames
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < total


@given(counts, some)
def test_stride_is_sorted_in_bounds_and_of_the_asked_number(total, frames):
    indices = stride(total, frames)

    assert len(indices) == frames
    assert indices == sorted(indices)
    assert indices[0] == 0
    assert indices[-1] < total


@given(counts, some)
def test_stride_leaves_gaps_that_differ_by_one_at_most(total, frames):
    indices = [*stride(total, frames), total]

    gaps = [b - a for a, b in pairwise(indices)]

    assert max(gaps) - min(gaps) <= 1


def test_uniform_times_hold_both_ends():
    assert uniform_times(1.0, 3.0, 5) == [1.0, 1.5, 2.0, 2.5, 3.0]


def test_uniform_times_of_a_stretch_that_runs_backwards_stay_at_its_start():
    assert uniform_times(2.0, 1.0, 3) == [2.0, 2.0, 2.0]
