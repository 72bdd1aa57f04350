"""What grounding learns from and what verifying marks: seconds as parts and time steps, and tokens around a candidate.

Follows VideoMind (https://github.com/yeliudev/VideoMind, its hybrid dataset and parsers).
"""

import math
import random
from collections.abc import Sequence

import torch

from merv.chat import IGNORE_INDEX
from merv.data.sample import Moments
from merv.errors import SampleError
from merv.video.media import Span

Window = tuple[float, float]

MIN_CANDIDATE = 2.0
"""Seconds a verifier's candidate is stretched to."""


def clean_query(text: str) -> str:
    """A query without runs of space, and without dots or space around it."""
    return " ".join(text.split()).strip(" .")


def fit_span(span: Sequence[float], duration: float, min_length: float = -1.0) -> Window:
    """A stretch in order, inside the video, and at least `min_length` long as far as the video is; in seconds."""
    start, end = sorted(float(time) for time in span)
    start, end = min(max(0.0, start), duration), min(max(0.0, end), duration)
    if min_length != -1 and end - start < min_length:
        length = min(min_length, duration)
        middle = (start + end) / 2
        start, end = middle - length / 2, middle + length / 2
        if start < 0:
            start, end = 0.0, length
        elif end > duration:
            start, end = duration - length, duration
    return start, end


def moments_of(windows: Sequence[Window], shown: Span, num_steps: int, rng: random.Random) -> Moments:
    """The grounding head's targets.

    Windows are cut to what is shown and stretched to one time step.

    Args:
        windows: seconds of the video.
        shown: seconds of the video that the time steps stand for.
        num_steps: time steps the model sees.
        rng: draws the positive step.

    Raises:
        SampleError: there is no window, or one lies outside of what is shown.
    """
    length = shown.duration
    if not windows or length <= 0:
        raise SampleError(f"{len(windows)} windows in {length:g} s of video; a grounder learns from at least one")
    spans = []
    for window in windows:
        start, end = sorted(window)
        if end < shown.start or start > shown.end or not math.isfinite(start + end):
            raise SampleError(
                f"the window {start:g}..{end:g} s lies outside of what is shown, {shown.start:g}..{shown.end:g} s"
            )
        spans.append(fit_span((start - shown.start, end - shown.start), length, length / num_steps))
    saliency = torch.zeros(num_steps)
    rate = num_steps / length
    for start, end in spans:
        first, last = math.ceil(_tidy(start * rate)), math.ceil(_tidy(end * rate))
        saliency[min(first, num_steps - 1) : max(last, min(first, num_steps - 1) + 1)] = 1.0
    covered = saliency.nonzero()[:, 0].tolist()
    parts = torch.tensor([[start / length, end / length] for start, end in spans])
    return Moments(parts, saliency, rng.sample(covered, 1)[0])


def _tidy(steps: float) -> float:
    """A number of steps without the dust of its division: 3.0000000000000004 is 3."""
    return round(steps, 6)


def context_of(candidate: Sequence[float], duration: float) -> tuple[Span, float, float]:
    """What a verifier is shown of a candidate: it and half its length on each side, inside the video.

    Args:
        candidate: seconds; stretched to two.
        duration: seconds of the video.

    Returns:
        The stretch in seconds, and where the candidate begins and ends in it, as parts 0..1.

    Raises:
        SampleError: the candidate lies outside of the video.
    """
    # One at the very end may be a grounder's: its boxes are cut to the video.
    if not math.isfinite(sum(candidate)) or min(candidate) > duration or max(candidate) < 0 or duration <= 0:
        raise SampleError(
            f"the candidate {candidate[0]:g}..{candidate[1]:g} s lies outside of the video, 0..{duration:g} s"
        )
    start, end = fit_span(candidate, duration, MIN_CANDIDATE)
    half = (end - start) / 2
    first, last = fit_span((start - half, end + half), duration)
    length = last - first
    return Span(first, last), (start - first) / length, (end - first) / length


def insert_markers(
    ids: Sequence[int],
    labels: Sequence[int],
    *,
    first_video: int,
    num_steps: int,
    tokens_per_step: int,
    start: float,
    end: float,
    start_id: int,
    end_id: int,
) -> tuple[list[int], list[int]]:
    """Put a mark before the candidate's first time step and one behind its last.

    Args:
        ids: token ids of a row.
        labels: of the same length; marks carry no loss.
        first_video: place of the first visual token.
        num_steps: time steps of the video.
        tokens_per_step: visual tokens of each.
        start: where the candidate begins, a part 0..1 of the video.
        end: where it ends.
        start_id: the mark before it.
        end_id: the mark behind it.
    """
    first, last = (min(max(0, round(part * num_steps)), num_steps) for part in (start, end))
    assert first <= last, f"a candidate from {start} to {end}"
    before, behind = first_video + first * tokens_per_step, first_video + last * tokens_per_step
    marked = [*ids[:before], start_id, *ids[before:behind], end_id, *ids[behind:]]
    loss = [*labels[:before], IGNORE_INDEX, *labels[before:behind], IGNORE_INDEX, *labels[behind:]]
    return marked, loss
