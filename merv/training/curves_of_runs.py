"""Curves of several runs in one picture: side by side with one scale, or over one another.

The picture follows the loss curves Aria shows of its two fine-tunings (https://github.com/rhymes-ai/Aria,
examples/nextqa).
"""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from merv.errors import ConfigError
from merv.training.curves import Array, smooth
from merv.training.trackers import METRICS_FILE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL = (5.0, 4.0)
"""Width and height of a panel in inches."""
MOST_IN_A_ROW = 3
FEW_STEPS = 30
"""Runs with fewer steps have a dot at each."""
LABELS = {"loss": "loss (mean over target tokens)", "lr": "learning rate"}


class Curve(NamedTuple):
    """One metric of one run."""

    name: str
    """Of the run."""
    step: Array
    """(N,) optimiser steps, ascending."""
    value: Array
    """(N,); NaN where the number was not finite."""


def read_curve(run: Path, metric: str = "loss") -> Curve:
    """The course of a metric in a run's folder; a last line cut short is passed over.

    Raises:
        ConfigError: the run has no metrics, or not this one.
    """
    file = run / METRICS_FILE
    if not file.is_file():
        raise ConfigError(f"{run} has no {METRICS_FILE}; name the folder of a run whose trackers include `jsonl`")
    rows = list(_rows(file))
    if not rows:
        raise ConfigError(f"{file} has no step yet; let the run finish one first")
    found = {row["step"]: row[metric] for row in rows if _is_number(row.get(metric, ""))}
    if not found:
        known = sorted({name for row in rows for name, value in row.items() if name != "step" and _is_number(value)})
        near = " or ".join(f"`{name}`" for name in difflib.get_close_matches(metric, known))
        meant = f"did you mean {near}? " if near else ""
        raise ConfigError(f"{run} has no metric `{metric}`; {meant}it has: {', '.join(known)}")
    steps = sorted(found)
    values = [np.nan if found[step] is None else float(found[step]) for step in steps]
    return Curve(run.resolve().name, np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64))


def plot_runs(
    runs: Sequence[Path], out_png: Path, *, metric: str = "loss", window: int | None = None, together: bool = False
) -> None:
    """Draw a metric of several runs, each step light and smoothed bold.

    Args:
        runs: Folders of runs.
        out_png: The picture; one that is there is drawn anew.
        metric: A name in metrics.jsonl.
        window: Steps in a smoothed value; None takes a tenth of a run's steps, 51 at most.
        together: Draw over one another and not side by side.

    Raises:
        ConfigError: a run has no metrics, or not this one.
    """
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot
    from matplotlib.ticker import MaxNLocator

    curves = _named_apart([read_curve(run, metric) for run in runs], runs)
    num_panels = 1 if together else len(curves)
    columns = min(num_panels, MOST_IN_A_ROW)
    lines = -(-num_panels // columns)
    size = (8.0, 4.5) if num_panels == 1 else (PANEL[0] * columns, PANEL[1] * lines)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    for unused in panels[num_panels:]:
        unused.remove()
    for place, curve in enumerate(curves):
        axes = panels[0 if together else place]
        _draw(axes, curve, window, color=f"C{place % 10}" if together else "C0", labelled=together)
        axes.set_title(metric if together else curve.name, parse_math=False)  # a run may be called $a$
    for place, axes in enumerate(panels[:num_panels]):
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(LABELS.get(metric, metric) if place % columns == 0 else "")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        if together:
            for text in axes.legend(frameon=False).get_texts():
                text.set_parse_math(False)
    out_png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_png, format="png")


def _draw(axes: "Axes", curve: Curve, window: int | None, *, color: str, labelled: bool) -> None:
    if window is None:
        window = min(51, len(curve.step) // 10)
    window |= 1  # odd, so that the mean is centred
    label = curve.name if labelled else None
    [raw] = axes.plot(curve.step, curve.value, color=color, linewidth=1, label=label)
    if len(curve.step) < FEW_STEPS:
        raw.set_marker("o")
    if window > 1:
        raw.set(alpha=0.35, label=None)
        axes.plot(curve.step, smooth(curve.value, window=window), color=color, linewidth=2.2, label=label)


def _named_apart(curves: Sequence[Curve], runs: Sequence[Path]) -> list[Curve]:
    """Runs of one name are told apart by their paths."""
    names = [curve.name for curve in curves]
    return [
        curve if names.count(curve.name) == 1 else curve._replace(name=str(run))
        for curve, run in zip(curves, runs, strict=True)
    ]


def _rows(file: Path) -> list[dict[str, Any]]:
    """Whole rows of steps."""
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # torn by a crash, or being written
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            found.append(row)
    return found


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
