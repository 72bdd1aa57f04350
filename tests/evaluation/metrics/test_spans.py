import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.evaluation.metrics.spans import (
    best_iou,
    clamp,
    hull_iou,
    iop,
    iou,
    merge,
    paired_iou,
    tall_iou,
    union_iou,
)

SECONDS = st.integers(0, 100).map(float)
WINDOWS = st.tuples(SECONDS, SECONDS).map(lambda pair: (min(pair), max(pair)))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (0, 10), 1.0),
        ((2, 4), (0, 10), 0.2),
        ((0, 10), (10, 20), 0.0),
        ((0, 10), (30, 40), 0.0),
        ((5, 5), (0, 10), 0.0),
        ((5, 5), (5, 5), 0.0),
        ((10, 0), (0, 10), 0.0),
    ],
)
def test_iou_is_the_shared_part_and_zero_without_length(a, b, expected):
    assert iou(a, b) == pytest.approx(expected, abs=1e-15)
    assert hull_iou(a, b) == pytest.approx(expected, abs=1e-15)


@given(WINDOWS, WINDOWS)
def test_all_formulas_agree_on_windows_that_overlap(a, b):
    value = iou(a, b)

    assert hull_iou(a, b) == pytest.approx(value)
    assert max(0.0, tall_iou(a, b)) == pytest.approx(value)
    assert union_iou([a], [b]) == pytest.approx(value)
    assert union_iou([a], [b], protocol="videomind") == pytest.approx(value)


@given(WINDOWS, WINDOWS)
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1


def test_tall_gives_windows_apart_minus_their_gap():
    assert tall_iou((0, 10), (30, 40)) == -0.5
    assert hull_iou((0, 10), (30, 40)) == 0.0


@pytest.mark.parametrize(
    ("pred", "official", "videomind"),
    [
        ((2, 4), 1.0, 1.0),
        ((5, 15), 0.5, 0.5),
        ((20, 30), 0.0, 0.0),
        ((5, 5), 1.0, 0.0),
        ((10, 10), 1.0, 0.0),
        ((11, 11), 0.0, 0.0),
        ((8, 2), 0.0, 0.0),
    ],
)
def test_iop_of_a_window_without_length_depends_on_the_protocol(pred, official, videomind):
    assert iop(pred, (0, 10)) == official
    assert iop(pred, (0, 10), protocol="videomind") == videomind


def test_union_iou_counts_overlapping_windows_once_or_with_videomind_twice():
    preds, truths = [(0, 10), (0, 10)], [(0, 20)]

    assert union_iou(preds, truths) == 0.5
    assert union_iou(preds, truths, protocol="videomind") == 1.0


def test_union_iou_takes_all_windows_of_both_sides():
    assert union_iou([(0, 10), (20, 30)], [(5, 25)]) == pytest.approx(10 / 30)


@pytest.mark.parametrize("protocol", ["official", "videomind"])
def test_union_iou_of_nothing_is_zero(protocol):
    assert union_iou([], [(0, 10)], protocol=protocol) == 0.0
    assert union_iou([], [], protocol=protocol) == 0.0
    assert union_iou([(3, 3)], [(3, 3)], protocol=protocol) == 0.0


def test_merge_joins_windows_that_touch_and_drops_reversed_ones():
    assert merge([(5, 8), (0, 3), (3, 4), (6, 7), (9, 2)]) == [(0, 4), (5, 8)]


@pytest.mark.parametrize(
    ("span", "expected"),
    [((2, 5), (2, 5)), ((-3, 50), (0, 30)), ((40, 50), (30, 30)), ((20, 10), (10, 20))],
)
def test_clamp_puts_a_window_inside_the_video_in_order(span, expected):
    assert clamp(span, 30) == expected


def test_best_iou_takes_the_best_pair_and_is_zero_without_one():
    assert best_iou([(0, 1), (0, 10)], [(50, 60), (0, 20)]) == 0.5
    assert best_iou([], [(0, 1)]) == best_iou([(0, 1)], []) == 0.0


def test_paired_iou_compares_the_window_of_the_best_iou():
    assert paired_iou([(0, 10)], [(30, 40), (5, 15)]) == pytest.approx(1 / 3)
    assert paired_iou([], [(0, 1)]) == 0.0
