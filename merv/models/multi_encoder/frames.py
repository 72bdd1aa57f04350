"""Which of a batch's frames an encoder sees.

A batch holds the frames of all rows one after another, `counts[i]` of row i: as many as the most demanding encoder
sees of a clip, or one for a still image.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from merv import runtime
from merv.video.sampling import stride


def clip_indices(counts: Sequence[int], num_frames: int, *, repeat_images: bool) -> list[int]:
    """Frames to encode: `num_frames` of every clip, and a still image once, or as often as a clip has frames."""
    chosen: list[int] = []
    start = 0
    for count in counts:
        if count == 1:
            chosen += [start] * (num_frames if repeat_images else 1)
        else:
            chosen += [start + i for i in stride(count, num_frames)]
        start += count
    return chosen


def expand_indices(counts: Sequence[int], num_frames: int) -> list[int]:
    """Features of frames encoded once -> features of clips: `num_frames` of every row, an image's repeated."""
    chosen: list[int] = []
    start = 0
    for count in counts:
        encoded = 1 if count == 1 else num_frames
        chosen += [start + min(i, encoded - 1) for i in range(num_frames)]
        start += encoded
    return chosen


def take(frames: Tensor, indices: Sequence[int]) -> Tensor:
    """`frames[indices]`, as a view where the indices are evenly spaced: no copy, and the host does not wait."""
    steps = {after - before for before, after in itertools.pairwise(indices)}
    if len(steps) == 1 and (step := steps.pop()) > 0:
        return frames[indices[0] : indices[-1] + 1 : step]
    index = torch.tensor(indices)
    if runtime.is_accelerator(frames.device):
        index = index.pin_memory()
    return frames[index.to(frames.device, non_blocking=True)]
