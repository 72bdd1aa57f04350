"""What grounding learns and verifying marks: VideoMind's arithmetic, and what it crashes on."""

import json
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from merv.chat import IGNORE_INDEX
from merv.errors import SampleError
from merv.models.qwen2_vl.targets import clean_query, context_of, fit_span, insert_markers, moments_of
from merv.video.media import Span

from ..recorded import SHARED

FRAMES = json.loads((SHARED / "e_videomind_frames.json").read_text()) if SHARED.exists() else {}
recorded = pytest.mark.skipif(not FRAMES, reason="recordings of VideoMind are not beside this checkout")
DRAWN = random.Random(0)


TEN = Span(0.0, 10.0)


def moments(*windows, shown=TEN, num_steps=5):
    return moments_of(windows, shown, num_steps, random.Random(0))


@recorded
@pytest.mark.parametrize("row", FRAMES.get("parse_span", []), ids=lambda row: f"{row['span']}-{row['min_len']}")
def test_spans_are_fitted_as_recorded(row):
    assert list(fit_span(row["span"], row["duration"], row["min_len"])) == pytest.approx(row["out"], abs=1e-12)


@recorded
@pytest.mark.parametrize("row", FRAMES.get("parse_query", []), ids=lambda row: row["out"])
def test_queries_are_cleaned_as_recorded(row):
    assert clean_query(row["q"]) == row["out"]


@given(st.floats(-5, 40), st.floats(-5, 40), st.floats(0.5, 30), st.floats(0.01, 60))
def test_a_fitted_span_lies_inside_and_is_long_enough(start, end, duration, least):
    first, last = fit_span((start, end), duration, least)

    assert 0 <= first <= last <= duration
    assert last - first >= min(least, duration) - 1e-9


def test_steps_and_parts_of_one_window():
    found = moments((2.0, 6.0))

    assert found.spans.dtype == found.saliency.dtype == torch.float32
    assert_close(found.spans, torch.tensor([[0.2, 0.6]]))
    assert found.saliency.tolist() == [0, 1, 1, 0, 0]
    assert found.positive in (1, 2)


def test_several_windows_are_several_moments():
    found = moments((0.0, 0.1), (6.0, 9.8))

    # The first is stretched to one step of two seconds.
    assert_close(found.spans, torch.tensor([[0.0, 0.2], [0.6, 0.98]]))
    assert found.saliency.tolist() == [1, 0, 0, 1, 1]


def test_windows_count_from_what_is_shown():
    shown = moments((102.0, 106.0), shown=Span(100.0, 110.0))

    assert_close(shown.spans, moments((2.0, 6.0)).spans)
    assert torch.equal(shown.saliency, moments((2.0, 6.0)).saliency)


def test_a_window_may_run_backwards():
    assert_close(moments((30.0, 8.0)).spans, moments((8.0, 30.0)).spans)


def test_a_window_is_cut_to_what_is_shown():
    assert_close(moments((8.0, 30.0)).spans, torch.tensor([[0.8, 1.0]]))
    assert_close(moments((8.0, 12.0), shown=Span(10.0, 20.0)).spans, torch.tensor([[0.0, 0.2]]))


@pytest.mark.parametrize("window", [(10.0, 10.0), (9.9, 10.0), (0.0, 0.0), (7.0, 7.0)])
def test_the_shortest_window_covers_a_step(window):
    found = moments(window)

    assert found.saliency.sum() >= 1
    assert found.saliency[found.positive] == 1


def test_rounding_dust_covers_no_further_step():
    assert 1.1 * (3 / 3.3) > 1  # the end of the first of three steps

    assert moments((0.0, 1.1), shown=Span(0.0, 3.3), num_steps=3).saliency.tolist() == [1, 0, 0]


def test_the_positive_step_is_drawn_from_those_covered():
    drawn = {moments_of([(0.0, 10.0)], Span(0.0, 10.0), 5, random.Random(seed)).positive for seed in range(50)}

    assert drawn == {0, 1, 2, 3, 4}


@given(
    windows=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), min_size=1, max_size=4),
    length=st.floats(20, 40),
    num_steps=st.integers(1, 90),
)
def test_targets_of_any_windows_hold_together(windows, length, num_steps):
    found = moments_of(windows, Span(0.0, length), num_steps, DRAWN)

    assert found.spans.shape == (len(windows), 2)
    assert ((found.spans >= 0) & (found.spans <= 1)).all()
    assert (found.spans[:, 1] > found.spans[:, 0]).all()
    assert found.saliency.shape == (num_steps,)
    assert found.saliency[found.positive] == 1


@pytest.mark.parametrize("window", [(12.0, 15.0), (20.0, 11.0), (float("nan"), 3.0)])
def test_a_window_outside_of_what_is_shown_is_refused_in_one_line(window):
    with pytest.raises(SampleError, match=r"lies outside of what is shown, 0..10 s") as caught:
        moments(window)

    assert "\n" not in str(caught.value)


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(SampleError, match=r"0 windows in 10 s of video"):
        moments()
    with pytest.raises(SampleError, match=r"1 windows in 0 s of video"):
        moments((0.0, 0.0), shown=Span(0.0, 0.0))


@pytest.mark.parametrize(
    ("candidate", "shown", "parts"),
    [
        ((10.0, 14.0), Span(8.0, 16.0), (0.25, 0.75)),
        ((14.0, 10.0), Span(8.0, 16.0), (0.25, 0.75)),
        ((0.0, 4.0), Span(0.0, 6.0), (0.0, 4 / 6)),
        ((28.0, 50.0), Span(27.0, 30.0), (1 / 3, 1.0)),
        ((10.0, 10.5), Span(8.25, 12.25), (0.25, 0.75)),
        ((-3.0, 90.0), Span(0.0, 30.0), (0.0, 1.0)),
    ],
    ids=["inside", "backwards", "at the start", "past the end", "stretched", "everything"],
)
def test_a_candidate_is_shown_with_half_its_length_around(candidate, shown, parts):
    found, *where = context_of(candidate, 30.0)

    assert (found.start, found.end) == pytest.approx((shown.start, shown.end))
    assert where == pytest.approx(parts)


def test_a_candidate_at_the_very_end_is_stretched_back_into_the_video():
    # A grounder's boxes are cut to the video, which may leave nothing of one but its end.
    assert context_of((30.0, 30.0), 30.0) == (Span(27.0, 30.0), pytest.approx(1 / 3), 1.0)


def test_a_candidate_of_no_video_is_refused():
    with pytest.raises(SampleError, match=r"lies outside of the video, 0..0 s"):
        context_of((0.0, 0.0), 0.0)


def test_a_candidate_longer_than_the_video_is_all_of_it():
    assert context_of((0.2, 0.4), 1.0) == (Span(0.0, 1.0), 0.0, 1.0)


@pytest.mark.parametrize("candidate", [(30.5, 31.0), (-3.0, -1.0), (40.0, 35.0), (3.0, float("nan"))])
def test_a_candidate_outside_of_the_video_is_refused_in_one_line(candidate):
    message = rf"the candidate {candidate[0]:g}..{candidate[1]:g} s lies outside of the video, 0..30 s"
    with pytest.raises(SampleError, match=f"^{message}$"):
        context_of(candidate, 30.0)


def mark(start, end, num_steps=4):
    video = list(range(100, 100 + 2 * num_steps))
    ids, labels = [1, *video, 2, 3], [IGNORE_INDEX] * (len(video) + 2) + [3]
    ids, labels = insert_markers(
        ids,
        labels,
        first_video=1,
        num_steps=num_steps,
        tokens_per_step=2,
        start=start,
        end=end,
        start_id=-1,
        end_id=-2,
    )
    assert labels == [IGNORE_INDEX] * (len(video) + 4) + [3]
    return ids


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.25, 0.75, [1, 100, 101, -1, 102, 103, 104, 105, -2, 106, 107, 2, 3]),
        (0.0, 1.0, [1, -1, 100, 101, 102, 103, 104, 105, 106, 107, -2, 2, 3]),
        (0.5, 0.5, [1, 100, 101, 102, 103, -1, -2, 104, 105, 106, 107, 2, 3]),
        (-0.5, 7.0, [1, -1, 100, 101, 102, 103, 104, 105, 106, 107, -2, 2, 3]),
    ],
)
def test_marks_enclose_the_steps_of_the_candidate_and_carry_no_loss(start, end, expected):
    assert mark(start, end) == expected


def test_halves_of_a_step_go_to_the_even_one():
    assert mark(0.5, 0.9, num_steps=5).index(-1) == 1 + 2 * 2
