"""What a difference between two models on the same items is worth: confidence intervals and tests of paired scores.

The paired bootstrap, exact McNemar and sign-flip tests as in Dror et al., "The Hitchhiker's Guide to Testing
Statistical Significance in NLP" (ACL 2018).  Nothing depends on chance: the generators have a fixed seed.
"""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NUM_RESAMPLES = 10_000
SEED = 0
LARGEST_RESAMPLED = 5_000
"""Items up to which resampling is done; of more the mean is as good as normal, and the formulas are used."""
LARGEST_ENUMERATED = 14
"""Items that differ up to which all sign patterns are tried, 16,384 at most."""
LEVEL = 0.95
Z = 1.959963984540054
"""Standard normal quantile of (1 + LEVEL) / 2."""
CHUNK = 4_000_000
"""Numbers held at a time while resampling: 32 MB."""


def interval(differences: Values) -> tuple[float, float]:
    """The 95 % confidence interval of the mean difference.  (N,) -> low, high.

    Percentiles of the mean over 10,000 resamples of the items; beyond 5,000 items mean +- 1.96 standard errors.
    """
    size = len(differences)
    mean = float(differences.mean())
    if not np.ptp(differences):
        return mean, mean
    if size > LARGEST_RESAMPLED:
        half = Z * float(differences.std(ddof=1)) / math.sqrt(size)
        return mean - half, mean + half
    generator = np.random.default_rng(SEED)
    rows = max(1, CHUNK // size)
    means = [
        differences[generator.integers(0, size, (min(rows, NUM_RESAMPLES - done), size))].mean(axis=1)
        for done in range(0, NUM_RESAMPLES, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def p_value(a: Values, b: Values) -> tuple[float, str]:
    """Two-sided p of "A and B score alike", and the name of the test: `mcnemar` where all scores are 0 or 1."""
    if np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all():
        return mcnemar(int((b > a).sum()), int((b < a).sum())), "mcnemar"
    return sign_flip(b - a), "sign-flip"


def mcnemar(wins: int, losses: int) -> float:
    """Exact McNemar test: two-sided p of so uneven a split of the items on which just one of the two is right."""
    num_trials, smaller = wins + losses, min(wins, losses)
    ways, below = 1, 0
    for chosen in range(smaller + 1):  # whole numbers of any size: no rounding before the division
        below += ways
        ways = ways * (num_trials - chosen) // (chosen + 1)
    return min(1.0, 2 * below / 2**num_trials)


def sign_flip(differences: Values) -> float:
    """Two-sided p of a mean difference as large, if A and B could be exchanged on every item.  (N,) -> p.

    All sign patterns when up to 14 items differ, 10,000 drawn ones up to 5,000 items, else the normal limit.
    """
    moved = differences[differences != 0]
    size, observed = len(moved), abs(float(moved.sum()))
    if not size:
        return 1.0
    if size > LARGEST_RESAMPLED:
        return math.erfc(observed / math.sqrt(2 * float((moved**2).sum())))
    least = observed - 1e-9 * float(np.abs(moved).sum())  # equal sums differ by rounding
    if size <= LARGEST_ENUMERATED:
        patterns = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
        return float((np.abs((1 - 2 * patterns) @ moved) >= least).mean())
    generator = np.random.default_rng(SEED)
    rows = max(1, CHUNK // size)
    extreme = 0
    for done in range(0, NUM_RESAMPLES, rows):
        flips = generator.integers(0, 2, (min(rows, NUM_RESAMPLES - done), size), dtype=np.int8)
        extreme += int((np.abs((1 - 2 * flips) @ moved) >= least).sum())
    return (1 + extreme) / (1 + NUM_RESAMPLES)  # the observed pattern is one of them
