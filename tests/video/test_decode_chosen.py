"""Frames that a function of the timeline chooses."""

import pytest
import torch

from merv.errors import SampleError
from merv.video.budget import VisualBudget
from merv.video.decode import read_chosen, read_clip
from merv.video.media import MediaRef, Span
from merv.video.timeline import choose_frames, even_timeline, frames_from_left

from .clips import constant, numbers, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """18 frames, 25 a second."""
    return MediaRef(write_clip(tmp_path_factory.mktemp("chosen") / "a.mp4", constant(18)))


def test_frames_come_in_the_order_asked(clip):
    found = read_chosen(clip, lambda timeline: [len(timeline.pts) - 1, 0, 5, 0])

    assert numbers(found.frames) == [17, 0, 5, 0]
    assert found.times == pytest.approx((0.68, 0.0, 0.2, 0.0))


def test_frames_chosen_evenly_are_those_of_a_clip(clip):
    found = read_chosen(clip, lambda timeline: choose_frames(timeline, 5, None))

    assert torch.equal(found.frames, read_clip(clip, 5).frames)


def test_frames_from_the_left_never_see_the_tail(clip):
    assert numbers(read_chosen(clip, lambda timeline: frames_from_left(timeline, 4, None)).frames) == [0, 4, 8, 12]


def test_frames_shrink_to_a_budget(clip):
    budget = VisualBudget(min_pixels=1, max_pixels=32 * 24, factor=1, frame_factor=1)

    assert read_chosen(clip, lambda timeline: [0], budget=budget).frames.shape == (1, 3, 24, 32)


def test_a_stretch_behind_the_end_is_refused(clip):
    late = MediaRef(clip.path, span=Span(2.0, 3.0))

    with pytest.raises(SampleError, match=r"lasts 0.72 s, but the span begins at 2.00 s"):
        read_chosen(late, lambda timeline: [0])


@pytest.mark.parametrize(
    ("total", "wanted", "span", "expected"),
    [
        (18, 4, None, [0, 4, 8, 12]),
        (8, 8, None, list(range(8))),
        (3, 6, None, [0, 0, 1, 1, 2, 2]),
        (30, 2, Span(1.0, 2.0), [10, 15]),
        (30, 2, Span(2.95, 9.0), [29, 29]),
        (1, 2, None, [0, 0]),
    ],
)
def test_left_frames_stay_in_the_stretch(total, wanted, span, expected):
    assert frames_from_left(even_timeline(total, 10.0), wanted, span) == expected
