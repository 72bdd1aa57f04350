"""A contact sheet: frames in rows with their times, the words below them, and a line of time with the moments."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from merv.models.seen import Seen
from merv.space import replace_file

COLUMNS, MOST = 8, 64
"""Frames in a row, and frames drawn of one medium; the label says how many there are."""
LETTERS, MOST_LINES = 120, 14
LINE_INCH, CELL_INCH = 0.2, 1.45


@dataclass(frozen=True)
class Sheet:
    """What is drawn."""

    title: str
    media: Sequence[Seen]
    texts: Sequence[tuple[str, str]]
    """What is said, by name: user, assistant, prompt, target."""
    windows: Sequence[tuple[float, float]] = ()
    """Moments in seconds of the video."""
    duration: float | None = None
    """Seconds of the video; None where nobody says."""


def draw_sheet(sheet: Sheet, out_png: Path) -> None:
    """Draw; the file appears at once and whole."""
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot

    blocks = [_chosen(seen) for seen in sheet.media]
    words = _wrapped(sheet.texts)
    heights = [0.35 + CELL_INCH * math.ceil(len(frames) / COLUMNS) for _, frames, _ in blocks]
    heights += [0.75] if sheet.windows else []
    heights.append(LINE_INCH * (words.count("\n") + 1) + 0.1)
    figure = Figure(figsize=(COLUMNS * CELL_INCH, sum(heights) + 0.45), dpi=100, layout="constrained")
    figure.suptitle(textwrap.shorten(sheet.title, LETTERS), x=0.01, ha="left", fontsize=10, parse_math=False)
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, block in zip(parts, blocks, strict=False):
        _draw_frames(part, *block)
    if sheet.windows:
        _draw_time(parts[len(blocks)], sheet)
    parts[-1].text(0.01, 0.98, words, va="top", ha="left", fontsize=8, family="monospace", parse_math=False)
    with replace_file(out_png) as unfinished:
        figure.savefig(unfinished, format="png")


def _chosen(seen: Seen) -> tuple[str, list[Tensor], list[str]]:
    """Label, frames and captions of one medium; of many frames evenly spaced ones."""
    count = len(seen.frames)
    places = [place * count // MOST for place in range(MOST)] if count > MOST else list(range(count))
    _, height, width = seen.frames[0].shape if count else (3, 0, 0)
    label = f"{seen.label}: {count} frame{'' if count == 1 else 's'} of {width} x {height}"
    label += f", {MOST} drawn" if count > MOST else ""
    captions = [f"{seen.times[place]:.2f} s" if seen.times else str(place) for place in places]
    return label, [seen.frames[place] for place in places], captions


def _draw_frames(part: Any, label: str, frames: Sequence[Tensor], captions: Sequence[str]) -> None:
    part.suptitle(label, x=0.01, ha="left", fontsize=8, parse_math=False)
    rows = max(1, math.ceil(len(frames) / COLUMNS))
    cells = part.subplots(rows, COLUMNS, squeeze=False).flat
    for axes in cells:
        axes.set_axis_off()
    for axes, frame, caption in zip(part.axes, frames, captions, strict=False):
        axes.imshow(frame.permute(1, 2, 0).numpy())
        axes.set_title(caption, fontsize=7, pad=2)


def _draw_time(part: Any, sheet: Sheet) -> None:
    axes = part.subplots()
    end = sheet.duration or max(stop for _, stop in sheet.windows)
    axes.broken_barh([(start, stop - start) for start, stop in sheet.windows], (0, 1), color="tab:orange")
    taken = [time for seen in sheet.media[:1] for time in seen.times]
    axes.vlines(taken, 0, 1, color="black", linewidth=0.6, alpha=0.5)
    said = ", ".join(f"{start:.1f} - {stop:.1f}" for start, stop in sheet.windows)
    axes.set_title(f"moments: {said} s of {end:.1f} s; lines are frames", fontsize=8, loc="left")
    axes.set(xlim=(0, end), yticks=[])
    axes.tick_params(labelsize=7)


def _wrapped(texts: Sequence[tuple[str, str]]) -> str:
    lines: list[str] = []
    for name, text in texts:
        found = [line for piece in f"{name}: {text}".split("\n") for line in textwrap.wrap(piece, LETTERS) or [""]]
        cut = len(found) - MOST_LINES
        lines += found if cut <= 0 else [*found[:MOST_LINES], f"... {cut} more lines"]
    return "\n".join(lines)
