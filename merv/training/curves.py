"""loss.png: the course of loss and learning rate, drawn from metrics.jsonl."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from merv.errors import ConfigError

Array = NDArray[np.float64]


class Course(NamedTuple):
    """Columns of metrics.jsonl, (N,) each; NaN where a row has no number."""

    step: Array
    loss: Array
    lr: Array


def read_course(metrics_jsonl: Path) -> Course:
    """Steps that have a loss, in order; a last line cut short by a crash or a running writer is passed over.

    Raises:
        ConfigError: the file is missing or has no step with a loss.
    """
    if not metrics_jsonl.is_file():
        raise ConfigError(f"no metrics at {metrics_jsonl}; a run writes them when `jsonl` is among its trackers")
    rows = []
    for line in metrics_jsonl.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            row = json.loads(line)
            if "loss" in row:
                rows.append((row["step"], _number(row["loss"]), _number(row.get("lr"))))
    if not rows:
        raise ConfigError(f"{metrics_jsonl} has no step with a loss; let the run finish a step first")
    return Course(*np.asarray(sorted(rows), dtype=np.float64).T)


def smooth(values: Array, *, window: int) -> Array:
    """Centred mean over `window` neighbours, fewer at the ends, numbers that are not finite left out."""
    finite = np.isfinite(values)
    kernel = np.ones(min(window, len(values)))
    totals = np.convolve(np.where(finite, values, 0.0), kernel, mode="same")
    counts = np.convolve(finite.astype(np.float64), kernel, mode="same")
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def plot_loss(metrics_jsonl: Path, out_png: Path) -> None:
    """Draw the loss (each step light, smoothed bold) and, on the right axis, the learning rate.

    Raises:
        ConfigError: see `read_course`.
    """
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot
    from matplotlib.ticker import MaxNLocator

    course = read_course(metrics_jsonl)
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    window = min(51, len(course.step) // 10) | 1  # odd, so that the mean is centred
    lines = axes.plot(course.step, course.loss, color="tab:blue", linewidth=1, label="loss of each step")
    if len(course.step) < 30:
        lines[0].set_marker("o")
    if window > 1:
        lines[0].set_alpha(0.35)
        means = smooth(course.loss, window=window)
        lines += axes.plot(course.step, means, color="tab:blue", linewidth=2.2, label=f"mean of {window} steps")
    axes.set(xlabel="optimiser step", ylabel="loss (mean over target tokens)")
    axes.set_title(metrics_jsonl.resolve().parent.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    if np.isfinite(course.lr).any():
        right = axes.twinx()
        lines += right.plot(course.step, course.lr, color="tab:orange", linestyle="--", label="learning rate")
        right.set_ylabel("learning rate")
        right.set_ylim(bottom=0)
        right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
