"""Which frames of a clip are looked at; the indices are those of MERV's published models.

https://github.com/princetonvisualai/merv spreads frame numbers evenly and rounds down.  Where it would leave the video
or run backwards (a span past the end), the numbers here stop at the last frame instead.
"""

import numpy as np

from merv.video.media import Span


def uniform_indices(
    num_total: int, num_frames: int, fps: float, span: Span | None = None, last: int | None = None
) -> list[int]:
    """`num_frames` evenly spaced frame numbers of a video of `num_total` frames, both ends included.

    Args:
        num_total: frames of the video, at least 1.
        num_frames: numbers wanted; they repeat when the stretch is shorter.
        fps: frames a second; only `span` needs it.
        span: seconds to stay in; an infinite end means the end of the video.
        last: number of the last frame to use; None or a negative number means the end of the video.
    """
    assert num_total >= 1, f"{num_total} frames to choose from"
    assert num_frames >= 1, f"{num_frames} frames to choose"
    first, end = 0.0, float(num_total - 1)
    if span is not None:
        # Unrounded: at 29.97 frames a second the reference spreads from 29.97 on, and rounds what comes out.
        first = min(span.start * fps, end)
        end = min(span.end * fps, num_total) - 1
    if last is not None and last >= 0:
        end = min(end, last)
    return np.linspace(first, max(first, end), num_frames, dtype=int).tolist()


def uniform_times(start: float, end: float, num_frames: int) -> list[float]:
    """`num_frames` evenly spaced seconds from `start` to `end`, both included."""
    return np.linspace(start, max(start, end), num_frames).tolist()


def stride(num_total: int, num_frames: int) -> list[int]:
    """Which of `num_total` shared frames an encoder takes that sees `num_frames`: evenly spaced from the first.

    Equal to every k-th frame when the numbers divide; an encoder that sees more than there are sees some again.
    """
    assert num_total >= 1, f"{num_total} frames to choose from"
    assert num_frames >= 1, f"{num_frames} frames to choose"
    return [i * num_total // num_frames for i in range(num_frames)]
