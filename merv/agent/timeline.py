"""A picture of one answer: when the candidates are, what the roles make of them, and the moment that was chosen."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merv.agent.record import ChainReply
from merv.evaluation.metrics.spans import Window
from merv.space import replace_file

MOST_ROWS = 10
"""Candidates drawn; the picture says how many more there are."""
LINE_LETTERS, MOST_LINES = 105, 4
CHOSEN, TRUE, OTHER, FOUND, VERIFIED = "#c2410c", "#15803d", "#94a3b8", "#2563eb", "#7c3aed"


@dataclass(frozen=True)
class Bar:
    """One row of the picture."""

    label: str
    windows: tuple[Window, ...]
    colour: str
    grounder: float | None = None
    verifier: float | None = None


def draw_timeline(reply: ChainReply, out_png: Path, *, windows: Sequence[Window] = ()) -> None:
    """Draw an agent's answer; the file appears at once and whole.

    Args:
        reply: What the agent answered.
        out_png: Where to draw; its folder is made.
        windows: The true moments in seconds, where they are known.
    """
    from matplotlib.figure import Figure  # draws without a display, unlike pyplot

    rows, left_out = bars(reply, windows)
    text = caption(reply)
    height = 1.1 + 0.21 * (text.count("\n") + 1) + 0.4 * len(rows)
    figure = Figure(figsize=(11, height), dpi=120, layout="constrained")
    figure.suptitle(text, x=0.012, ha="left", fontsize=10, parse_math=False, linespacing=1.4)
    has_scores = any(row.grounder is not None for row in rows)
    if has_scores:
        time, scores = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1.25))
        _draw_scores(scores, rows)
    else:
        time = figure.subplots()
    _draw_times(time, rows, reply.record["shown"], left_out)
    with replace_file(out_png) as unfinished:
        figure.savefig(unfinished, format="png")


def bars(reply: ChainReply, windows: Sequence[Window] = ()) -> tuple[list[Bar], int]:
    """The rows from top to bottom, and how many candidates are left out."""
    drawn, left_out = candidates(reply.record)
    top = [Bar("true", tuple((float(start), float(end)) for start, end in windows), TRUE)] if windows else []
    start, end = reply.record["chosen"]
    top.append(Bar("chosen", ((start, end),), CHOSEN))
    rows = [
        Bar(name, ((each["start"], each["end"]),), OTHER, each["grounder"], each["verifier"]) for name, each in drawn
    ]
    return top + rows, left_out


def candidates(record: Mapping[str, Any]) -> tuple[list[tuple[str, Mapping[str, Any]]], int]:
    """Name and values of the best candidates, of each path as many, and how many others there are."""
    paths = record.get("paths") or [record]
    each_path = max(1, MOST_ROWS // len(paths))
    drawn: list[tuple[str, Mapping[str, Any]]] = []
    left_out = 0
    for path in paths:
        found = sorted(path.get("candidates", ()), key=_product if "path" in path else _verdict, reverse=True)
        prefix = f"path {path['path']}, " if "path" in path else ""
        drawn += [(f"{prefix}{number}", each) for number, each in enumerate(found[:each_path], 1)]
        left_out += max(0, len(found) - each_path)
    return drawn, left_out


def caption(reply: ChainReply) -> str:
    """Question, options and answer, wrapped; of a text that is too long the end is left out."""
    record = reply.record
    options = "   ".join(f"({chr(ord('A') + number)}) {text}" for number, text in enumerate(record["options"]))
    texts = (("Question", record["question"]), ("Options", options), ("Answer", reply.text))
    return "\n".join(_wrapped(f"{name}: {text}") for name, text in texts if text.strip())


def _wrapped(text: str) -> str:
    return textwrap.fill(text, LINE_LETTERS, max_lines=MOST_LINES, placeholder=" ...", subsequent_indent="    ")


def _verdict(candidate: Mapping[str, Any]) -> tuple[float, float]:
    """By the verifier, then by the grounder, as a chain ranks."""
    verifier = candidate["verifier"]
    return -1.0 if verifier is None else verifier, candidate["grounder"]


def _product(candidate: Mapping[str, Any]) -> float:
    """By both, as a path ranks."""
    return candidate["grounder"] * (candidate["verifier"] or 0.0)


def _draw_times(axes: Any, rows: Sequence[Bar], shown: Window, left_out: int) -> None:
    length = shown[1] - shown[0]
    for place, row in enumerate(rows):
        for start, end in row.windows:
            # a moment without length still leaves a mark
            axes.barh(place, max(end - start, 0.002 * length), left=start, height=0.62, color=row.colour, zorder=2)
    [chosen] = next(row.windows for row in rows if row.label == "chosen")
    axes.axvspan(*chosen, color=CHOSEN, alpha=0.12, linewidth=0, zorder=1)
    axes.set_xlim(*shown)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=9)
    more = f"; {left_out} more candidates are not drawn" if left_out else ""
    axes.set_xlabel(f"seconds of the video; chosen: {chosen[0]:.1f} to {chosen[1]:.1f}{more}", fontsize=9)
    axes.grid(axis="x", alpha=0.25, zorder=0)


def _draw_scores(axes: Any, rows: Sequence[Bar]) -> None:
    both = any(row.verifier is not None for row in rows)
    kinds = [("grounder", FOUND, -0.19), ("verifier", VERIFIED, 0.19)] if both else [("grounder", FOUND, 0.0)]
    for name, colour, shift in kinds:
        places = [(place + shift, getattr(row, name)) for place, row in enumerate(rows)]
        drawn = [(place, value) for place, value in places if value is not None]
        axes.barh(*zip(*drawn, strict=True), height=0.34 if both else 0.62, color=colour, label=name)
        for place, value in drawn:
            axes.annotate(f" {value:.2f}", (value, place), va="center", fontsize=7)
    axes.set_xlim(0, 1.25)  # room for the numbers
    axes.set_xticks([0, 0.5, 1])
    axes.set_xlabel("score", fontsize=9)
    axes.tick_params(left=False, labelleft=False)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False, handlelength=1)
    axes.spines[["top", "right", "left"]].set_visible(False)
