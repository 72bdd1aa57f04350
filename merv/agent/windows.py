"""Stretches of a video: which to try when a grounder finds none, and what an answerer is shown.

Numbers are those of VideoMind (https://github.com/yeliudev/VideoMind, videomind/eval/infer_auto.py and
videomind/utils/parser.py).
"""

from collections.abc import Mapping

from merv.evaluation.metrics.spans import Window

MIN_SECONDS = 32.0
"""Shortest stretch an answerer is shown."""
TASK_MIN_SECONDS: Mapping[str, float] = {"mvbench": 64.0, "rextime": 64.0}
"""The same where a benchmark has its own."""
NUM_GUESSES = 5


def min_seconds(task: str) -> float:
    """The published shortest stretch for a task, whatever condition or protocol its name ends in."""
    found = [seconds for name, seconds in TASK_MIN_SECONDS.items() if task == name or task.startswith(f"{name}-")]
    return found[0] if found else MIN_SECONDS


def inside(window: Window, shown: Window) -> Window:
    """The window with its ends in order and within what is shown."""
    start, end = sorted(min(max(shown[0], second), shown[1]) for second in window)
    return start, end


def widened(window: Window, shown: Window, seconds: float) -> Window:
    """The window, made at least so many seconds long around its middle, within what is shown."""
    start, end = inside(window, shown)
    if end - start < seconds:
        half = seconds / 2
        middle = min(shown[1] - half, max(shown[0] + half, (start + end) / 2))
        start, end = middle - half, middle + half
    return inside((start, end), shown)


def guesses(shown: Window) -> list[Window]:
    """Five windows, each a third of what is shown and half over the one before."""
    start, step = shown[0], (shown[1] - shown[0]) / (NUM_GUESSES + 1)
    return [(start + i * step, start + (i + 2) * step) for i in range(NUM_GUESSES)]
