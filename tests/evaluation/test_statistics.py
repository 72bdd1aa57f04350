import math

import numpy as np
import pytest

from merv.evaluation.statistics import LARGEST_RESAMPLED, interval, mcnemar, p_value, sign_flip


def draws(size, shift=0.1, seed=3):
    return np.random.default_rng(seed).normal(shift, 1.0, size)


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (5, 0, 2 / 32),
        (0, 5, 2 / 32),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (6, 4, 2 * (1 + 10 + 45 + 120 + 210) / 1024),
    ],
)
def test_mcnemar_counts_the_splits_as_uneven(wins, losses, expected):
    assert mcnemar(wins, losses) == expected


def test_mcnemar_of_many_items_neither_overflows_nor_vanishes():
    normal = math.erfc((200 - 1) / math.sqrt(20_000) / math.sqrt(2))  # with the correction for whole numbers

    assert mcnemar(10_100, 9_900) == pytest.approx(normal, rel=1e-3)


def test_sign_flip_tries_all_patterns_of_few_items():
    # |sum| of +-1 +-2 +-3 is 6 in 2 of 8 patterns, and at least 4 in 4 of them
    assert sign_flip(np.array([1.0, 2.0, 3.0, 0.0])) == 2 / 8
    assert sign_flip(np.array([-1.0, 2.0, 3.0])) == 4 / 8


def test_sign_flip_takes_sums_that_differ_by_rounding_for_equal():
    assert sign_flip(np.array([0.1, 0.2, -0.3, 0.3])) == pytest.approx(sign_flip(np.array([1.0, 2.0, -3.0, 3.0])))


def test_sign_flip_draws_patterns_of_more_items():
    values = draws(200)

    drawn = sign_flip(values)

    exact = math.erfc(abs(values.sum()) / math.sqrt(2 * (values**2).sum()))
    assert drawn == pytest.approx(exact, abs=0.02)  # 10,000 patterns give p to about 0.005
    assert drawn == sign_flip(values)


def test_sign_flip_of_very_many_items_is_the_normal_limit():
    values = draws(LARGEST_RESAMPLED + 1, shift=0.03)

    assert sign_flip(values) == pytest.approx(math.erfc(abs(values.sum()) / math.sqrt(2 * (values**2).sum())))


def test_no_difference_is_no_evidence():
    scores = np.array([0.2, 0.9, 1.0])

    assert p_value(scores, scores) == (1.0, "sign-flip")
    assert p_value(np.ones(4), np.ones(4)) == (1.0, "mcnemar")
    assert interval(np.zeros(4)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("a", "b", "test"), [([0, 1, 1], [1, 1, 0], "mcnemar"), ([0, 1, 1], [1, 1, 0.5], "sign-flip")]
)
def test_scores_of_0_and_1_are_tested_by_mcnemar(a, b, test):
    assert p_value(np.array(a, dtype=float), np.array(b, dtype=float))[1] == test


@pytest.mark.parametrize("size", [400, LARGEST_RESAMPLED + 1])
def test_the_interval_is_about_two_standard_errors_wide(size):
    values = draws(size)
    error = values.std() / math.sqrt(size)

    low, high = interval(values)

    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert interval(values) == (low, high)


def test_the_interval_of_two_items_is_their_range():
    # a quarter of the resamples are (0, 0) and a quarter (1, 1)
    assert interval(np.array([0.0, 1.0])) == (0.0, 1.0)


@pytest.mark.parametrize(("wins", "losses"), [(3, 1), (17, 30), (250, 240)])
def test_mcnemar_equals_scipy(wins, losses):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")

    assert mcnemar(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, rel=1e-12)


@pytest.mark.parametrize("size", [9, 60])
def test_sign_flip_equals_scipy(size):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    values = draws(size, shift=0.3)

    theirs = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=10_000, vectorized=False, rng=1
    )

    # exact for 9 items; of 60 two sets of 10,000 patterns differ by chance
    assert sign_flip(values) == pytest.approx(theirs.pvalue, abs=1e-12 if size == 9 else 0.02)


def test_the_interval_equals_scipys():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    values = draws(150)

    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval

    assert interval(values) == pytest.approx((theirs.low, theirs.high), abs=0.01)  # two sets of resamples
