from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from merv.video.files import SEEK_GAIN, segments
from merv.video.media import Span
from merv.video.timeline import Timeline, choose_frames


def timeline(*stamps, fps=25.0):
    return Timeline(stamps, (0,), Fraction(1, 1000), fps, labelled=True)


def test_times_count_from_the_first_frame_whatever_its_stamp():
    assert timeline(-80, -40, 0).times == timeline(500, 540, 580).times == [0.0, 0.04, 0.08]


def test_a_coarse_clock_is_still_a_constant_rate():
    assert timeline(0, 33, 67, 100, 133, fps=30.0).is_constant


def test_a_long_gap_is_no_constant_rate():
    assert not timeline(0, 40, 80, 400, 440).is_constant


def test_at_a_varying_rate_frames_are_those_on_screen_at_even_times():
    # One second of 10 frames, then one frame for nine seconds, then one more.
    stamps = [*range(0, 1000, 100), 1000, 10_000]

    assert choose_frames(timeline(*stamps, fps=1.1), 5, None) == [0, 10, 10, 10, 11]


def test_at_a_varying_rate_a_span_ends_with_the_last_frame_before_its_end():
    stamps = [0, 100, 1000, 1100, 5000]

    assert choose_frames(timeline(*stamps), 2, Span(1.0, 5.0)) == [2, 3]


def test_a_span_past_the_end_gives_the_last_frame():
    assert choose_frames(timeline(0, 100, 1000), 3, Span(50, 60)) == [2, 2, 2]


def test_one_frame_lasts_one_interval():
    assert timeline(700).duration == 0.04


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    st.integers(1, 40),
    st.floats(0, 300),
    st.floats(0, 300),
)
def test_chosen_frames_are_sorted_in_bounds_and_of_the_asked_number(gaps, num_frames, start, length):
    stamps = [sum(gaps[:i]) for i in range(len(gaps))]

    chosen = choose_frames(timeline(*stamps), num_frames, Span(start, start + length))

    assert len(chosen) == num_frames
    assert chosen == sorted(chosen)
    assert chosen[0] >= 0
    assert chosen[-1] < len(stamps)


@given(st.sets(st.integers(1, 500), max_size=20), st.sets(st.integers(0, 600), min_size=1, max_size=40))
def test_segments_start_at_key_frames_and_cover_what_is_wanted(keys, wanted):
    keyframes, wanted = [0, *sorted(keys)], sorted(wanted)

    runs = segments(keyframes, wanted)

    assert [number for _, group in runs for number in group] == wanted
    assert all(start in keyframes and start <= group[0] for start, group in runs)
    for (_, before), (start, _) in pairwise(runs):
        assert start - before[-1] > SEEK_GAIN


def test_wanted_frames_close_together_are_decoded_in_one_run():
    assert segments([0, 10, 20], [8, 11, 21]) == [(0, [8, 11]), (20, [21])]
