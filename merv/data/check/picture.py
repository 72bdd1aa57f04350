"""Histograms of a dataset's seconds: how long its videos are, and how long the moments in them."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from merv.data.check.rows import RowsReport
from merv.space import replace_file

BINS = 40
MANY = 200
"""Values from which on a tail is cut off."""
TAIL = 99.0
"""Percentile at which the axis ends: one video of ten hours would press all others into the first bar."""


def draw_histograms(reports: Sequence[tuple[RowsReport, array]], out_png: Path) -> bool:
    """Draw a row of two histograms for each dataset that has seconds; whether there was anything to draw.

    Args:
        reports: Of each dataset its rows, and the seconds of its videos.
        out_png: Where to draw.
    """
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot

    shown = [(report, videos) for report, videos in reports if videos or report.spans]
    if not shown:
        return False
    figure = Figure(figsize=(10, 2.6 * len(shown) + 0.4), dpi=110, layout="constrained")
    rows = figure.subplots(len(shown), 2, squeeze=False)
    for (report, videos), (left, right) in zip(shown, rows, strict=True):
        _histogram(left, videos, f"{report.name}: videos", "tab:blue")
        _histogram(right, report.spans, f"{report.name}: moments", "tab:orange")
    with replace_file(out_png) as unfinished:
        figure.savefig(unfinished, format="png")
    return True


def _histogram(axes: Any, values: array, title: str, colour: str) -> None:
    axes.set_title(title, fontsize=10)
    if not values:
        axes.text(0.5, 0.5, "the rows do not say", ha="center", va="center", transform=axes.transAxes, color="grey")
        axes.set_axis_off()
        return
    seconds = np.frombuffer(values, dtype=np.float32)
    end = max(float(np.percentile(seconds, TAIL) if len(seconds) >= MANY else seconds.max()), 1e-3)
    beyond = int((seconds > end).sum())
    axes.hist(np.minimum(seconds, end), bins=BINS, range=(0, end), color=colour)
    axes.axvline(float(np.median(seconds)), color="black", linewidth=1, linestyle="--", label="median")
    note = f"; longer ones, {beyond:,}, are in the last bar" if beyond else ""
    axes.set(xlabel=f"seconds{note}", ylabel="rows", xlim=(0, end))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
