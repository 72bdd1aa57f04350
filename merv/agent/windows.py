"""Stretches of a video: which to try when a grounder finds none, and how much of it an answerer is shown.

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


def guesses(shown: Window) -> list[Window]:
    """Five windows, each a third of what is shown and half over the one before."""
    start, step = shown[0], (shown[1] - shown[0]) / (NUM_GUESSES + 1)
    return [(start + i * step, start + (i + 2) * step) for i in range(NUM_GUESSES)]
