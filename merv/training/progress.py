"""How far a run is: a bar on a terminal, a plain line now and then elsewhere, so that logs stay readable.

Numbers shown are smoothed; what is recorded is not (merv.training.metrics).
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from merv import runtime

logger = logging.getLogger(__name__)


class Smoothed:
    """Moving averages of a row's numbers; each step weighs `1 - keep`, and the first ones are not pulled to zero."""

    def __init__(self, keep: float = 0.9) -> None:
        self.keep = keep
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def update(self, row: Mapping[str, float]) -> dict[str, float]:
        """The averages after one more row, of every number in it; one that is not finite is passed through."""
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        for name, value in finite.items():
            self._sums[name] = self.keep * self._sums.get(name, 0.0) + (1 - self.keep) * value
            self._weights[name] = self.keep * self._weights.get(name, 0.0) + (1 - self.keep)
        return {**row, **{name: self._sums[name] / self._weights[name] for name in finite}}


def status_text(row: Mapping[str, float]) -> str:
    """A row in a few words; what is not in it is left out."""
    shown: list[tuple[str, Callable[[float], str]]] = [
        ("loss", lambda v: f"loss {v:.4f}"),
        ("reward", lambda v: f"reward {v:.3f}"),
        ("kl", lambda v: f"kl {v:.4f}"),
        ("completion_tokens", lambda v: f"{v:.0f} tok/answer"),
        ("truncated", lambda v: f"cut {v:.0%}"),
        ("lr", lambda v: f"lr {v:.2e}"),
        ("samples_per_second", lambda v: f"{v:.2f} samples/s"),
        ("visual_tokens_per_second", lambda v: f"{count_text(v)} visual tok/s"),
        ("text_tokens_per_second", lambda v: f"{count_text(v)} text tok/s"),
        ("data_wait", lambda v: f"data-wait {v:.0%}"),
        ("bad_samples", lambda v: f"bad {v:.0f}"),
        ("peak_memory_gib", lambda v: f"{v:.1f} GiB"),
        ("mfu", lambda v: f"MFU {v:.1%}"),
    ]
    return " | ".join(text(row[name]) for name, text in shown if name in row)


def count_text(value: float) -> str:
    """A count in three figures or so: 950, 12.3k, 4.5M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def duration_text(seconds: float) -> str:
    """Seconds as m:ss, h:mm:ss or days."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Shows steps `start`..`total` as they are done; silent on processes other than the first.

    with Progress(total, start=resumed) as progress:
        progress.update(step, row)
    """

    def __init__(
        self,
        total: int,
        *,
        start: int = 0,
        every_s: float = 10.0,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.start = start
        self.every_s = every_s
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self._shows = runtime.is_main()
        self._clock = clock
        self._smoothed = Smoothed()
        self._last_line: float | None = None
        self._bar: Any = None
        self._task: Any = None
        self._moved: list[tuple[logging.StreamHandler[Any], Any]] = []

    def __enter__(self) -> Self:
        if self._shows and self.terminal:
            self._open_bar()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, step: int, row: Mapping[str, float]) -> None:
        """Show that `step` is done and what it measured."""
        if not self._shows:
            return
        # Counts and peaks are shown as they are; an average of them would be a number that never was.
        exact = {name: row[name] for name in ("lr", "bad_samples", "peak_memory_gib") if name in row}
        smooth = {**self._smoothed.update(row), **exact}
        if self._bar is not None:
            left = duration_text(self._seconds_left(step, smooth))
            self._bar.update(self._task, completed=step, status=status_text(smooth), left=left)
        elif self._line_due(step):
            left = duration_text(self._seconds_left(step, smooth))
            logger.info("step %d/%d | %s | ETA %s", step, self.total, status_text(smooth), left)

    def close(self) -> None:
        """Leave the bar as it stands and give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        for handler, stream in self._moved:
            handler.setStream(stream)
        self._moved.clear()

    def _seconds_left(self, step: int, smooth: Mapping[str, float]) -> float:
        return max(self.total - step, 0) * smooth.get("step_seconds", 0.0)

    def _line_due(self, step: int) -> bool:
        """The first step, the last, and one every `every_s` seconds."""
        now = self._clock()
        due = self._last_line is None or step >= self.total or now - self._last_line >= self.every_s
        if due:
            self._last_line = now
        return due

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        plain = sys.stderr
        columns = (
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[status]}"),
            TextColumn("ETA {task.fields[left]}"),
        )
        self._bar = RichProgress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self._task = self._bar.add_task("train", total=self.total, completed=self.start, status="", left="?")
        self._bar.start()
        # rich puts lines written to sys.stderr above the bar; log handlers hold the old stream and would tear it.
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is plain:
                self._moved.append((handler, plain))
                handler.setStream(sys.stderr)
