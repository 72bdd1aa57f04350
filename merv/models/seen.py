"""The frames of a sample as a model is shown them, for people who want to look at them."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from merv.data.sample import Sample

NUM_FRAMES = 8
"""Frames of a video where no model says how many."""


@dataclass(frozen=True)
class Seen:
    """One medium, or one way in which encoders see it."""

    label: str
    """What it is, such as `224 px, naive` or the medium's name."""
    frames: Sequence[Tensor]
    """uint8 (3, H, W) each, before normalisation."""
    times: Sequence[float] = ()
    """Seconds each frame is taken at, counted from the start of the video; empty where nobody keeps them."""


def as_they_are(sample: Sample, num_frames: int = NUM_FRAMES) -> list[Seen]:
    """Evenly spaced frames in the size the files have.

    Raises:
        SampleError: a medium cannot be read.
    """
    from merv.video.decode import read_clip

    clips = [(ref, read_clip(ref, num_frames)) for ref in sample.media]
    return [Seen(ref.path.name, list(clip.frames), clip.times) for ref, clip in clips]
