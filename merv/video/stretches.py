"""Stretches of a video that are shown in place of all of it, and how short ones are widened.

The rule is VideoMind's (https://github.com/yeliudev/VideoMind, videomind/utils/parser.py).
"""

Window = tuple[float, float]
"""Start and end in seconds of the video."""


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
