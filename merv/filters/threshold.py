"""How scores are spread, and the threshold that keeps three quarters of the images.

Follows clipfilter1 of VaseVQA-3D (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/filter): the threshold is the 25th
percentile of a sample.  There the sample changes with every run; here it is seeded.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from merv.errors import ConfigError

T = TypeVar("T")

PERCENTILES = (10, 25, 50, 75, 90)
AUTO = 25
"""The percentile `auto` takes."""
DIGITS = 6
"""Decimals scores are kept with: neighbours in a batch change the seventh."""


@dataclass(frozen=True)
class Spread:
    """Scores of a sample in a few numbers."""

    count: int
    """Scores."""
    mean: float
    """Their average."""
    std: float
    """Their standard deviation, of the sample itself (divided by `count`)."""
    min: float
    """The lowest."""
    max: float
    """The highest."""
    median: float
    """The middle one."""
    percentiles: dict[int, float]
    """By `PERCENTILES`, between scores on a straight line."""
    kept: dict[int, float]
    """By `PERCENTILES`: the part of the sample, 0..1, that this one as threshold keeps."""

    @property
    def auto(self) -> float:
        """The threshold `auto` means."""
        return self.percentiles[AUTO]

    def as_json(self) -> dict[str, Any]:
        """The numbers by name; percentiles as p10, p25, ..."""
        plain = {name: getattr(self, name) for name in ("count", "mean", "std", "min", "max", "median")}
        named = {f"p{percent}": value for percent, value in self.percentiles.items()}
        return {**plain, **named, "kept": {f"p{percent}": part for percent, part in self.kept.items()}}

    def table(self) -> str:
        """The numbers as lines for people."""
        lines = [f"{self.count} scores: mean {self.mean:.4f}, std {self.std:.4f}, median {self.median:.4f}"]
        lines += [f"lowest {self.min:.4f}, highest {self.max:.4f}", "threshold   score    keeps"]
        for percent, value in self.percentiles.items():
            mark = "   (auto)" if percent == AUTO else ""
            lines.append(f"P{percent:<10} {value:+.4f}  {self.kept[percent]:5.1%}{mark}")
        return "\n".join(lines)


def spread(scores: Sequence[float]) -> Spread:
    """The numbers of a sample.

    Raises:
        ConfigError: there are no scores.
    """
    if not len(scores):
        raise ConfigError("no image of the sample could be read, so there is no threshold; see the list of unreadable")
    found = np.asarray(scores, dtype=np.float64)
    percentiles = {percent: round(float(np.percentile(found, percent)), DIGITS) for percent in PERCENTILES}
    return Spread(
        count=len(found),
        mean=round(float(found.mean()), DIGITS),
        std=round(float(found.std()), DIGITS),
        min=float(found.min()),
        max=float(found.max()),
        median=round(float(np.median(found)), DIGITS),
        percentiles=percentiles,
        kept={percent: round(float((found >= value).mean()), DIGITS) for percent, value in percentiles.items()},
    )


def sample_of(paths: Sequence[T], size: int, seed: int) -> list[T]:
    """A sample without repetition, in the order of the paths; all of them when there are no more than `size`."""
    if len(paths) <= size:
        return list(paths)
    return [paths[place] for place in sorted(random.Random(seed).sample(range(len(paths)), size))]


def draw_histogram(scores: Sequence[float], threshold: float, path: Path, *, title: str) -> None:
    """A PNG of how many images have which score, with the threshold as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.subplots()
    found = np.asarray(scores, dtype=np.float64)
    bins = np.histogram_bin_edges(found, bins=max(10, min(60, int(len(found) ** 0.5) * 2)))
    for part, colour, word in ((found >= threshold, "tab:blue", "kept"), (found < threshold, "tab:gray", "rejected")):
        axes.hist(found[part], bins=bins.tolist(), color=colour, alpha=0.8, label=f"{word}: {int(part.sum())}")
    axes.axvline(threshold, color="tab:red", linestyle="--", label=f"threshold {threshold:.4f}")
    axes.set(xlabel="score: similarity to good minus similarity to bad", ylabel="images", title=title)
    axes.legend()
    figure.savefig(path, dpi=120)
