"""The role models' tour as a picture: for some held-out clips, when it happens and when the model says it does."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from merv.data.sample import Sample
from merv.evaluation.metrics.spans import Window, iou
from merv.space import replace_file

MOST_ROWS = 10
TRUE, SAID = "#15803d", "#c2410c"
Row = tuple[str, Window, Window | None, float]
"""Query, true window, the model's first, and the seconds of the clip."""


def rows_of(samples: Sequence[Sample], predictions: Path, most: int = MOST_ROWS) -> list[Row]:
    """What is drawn of an evaluation's predictions: its first items."""
    lines = predictions.read_text(encoding="utf-8").splitlines()[:most]
    found = []
    for row in map(json.loads, lines):
        meta = samples[row["index"]].meta
        spans = row.get("spans") or []
        said = (spans[0][0], spans[0][1]) if spans else None
        found.append((str(meta["query"]), tuple(meta["windows"][0]), said, float(meta["duration"])))
    return found


def draw_moments(rows: Sequence[Row], out_png: Path) -> None:
    """Draw true and predicted windows on one time axis, a clip a row; the file appears at once and whole."""
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot

    figure = Figure(figsize=(9, 0.9 + 0.42 * len(rows)), dpi=110, layout="constrained")
    axes: Any = figure.subplots()
    for place, (_, true, said, duration) in enumerate(rows):
        axes.barh(place, duration, height=0.8, color="#f1f5f9")
        axes.barh(place - 0.2, true[1] - true[0], left=true[0], height=0.34, color=TRUE)
        if said is not None:
            axes.barh(place + 0.2, said[1] - said[0], left=said[0], height=0.34, color=SAID)
            axes.text(duration + 0.3, place, f"IoU {iou(said, true):.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [f'"{query}"' for query, *_ in rows], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("seconds of the clip")
    axes.set_xlim(0, max(duration for *_, duration in rows) + 4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    marks = [axes.barh(0, 0, color=TRUE), axes.barh(0, 0, color=SAID)]
    figure.legend(marks, ["when it happens", "when the model says"], loc="outside upper left", ncols=2, fontsize=9)
    with replace_file(out_png) as unfinished:
        figure.savefig(unfinished, format="png")
