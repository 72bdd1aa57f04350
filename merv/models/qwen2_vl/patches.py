"""Frames as patches, in the order and with the numbers a Qwen2-VL's vision tower expects.

A worker ships bytes; normalisation happens where the model computes.  The order is that of transformers'
Qwen2VLVideoProcessor.
"""

import torch
from torch import Tensor

from merv.video.transforms import ClipTransform, View

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Statistics of CLIP (https://github.com/openai/CLIP), which Qwen2-VL uses."""


def to_patches(
    frames: Tensor, *, patch: int = 14, temporal: int = 2, merge: int = 2
) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut frames into patches; those that become one visual token stand together.

    Args:
        frames: (T, 3, H, W); patch x merge divides H and W.  The last frame repeats until `temporal` divides T.
        patch: pixels of a patch's side.
        temporal: frames of one time step.
        merge: patches along a side that become one visual token.

    Returns:
        (t h w, 3 temporal patch patch) in the frames' type, and t, h, w: time steps, rows and columns of patches.
    """
    missing = -len(frames) % temporal
    if missing:
        frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    count, channels, height, width = frames.shape
    side = patch * merge
    assert height % side == width % side == 0, f"frames of {height}x{width}, patches merge to {side}x{side}"
    grid = (count // temporal, height // patch, width // patch)
    cut = frames.reshape(
        grid[0], temporal, channels, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch
    )  # t, time, colour, row, row in token, y, column, column in token, x
    patches = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return patches.reshape(grid[0] * grid[1] * grid[2], channels * temporal * patch * patch).contiguous(), grid


def normalise(patches: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels of 0..255 as the vision tower was trained on them.  (P, 3 n) -> (P, 3 n) in `dtype`."""
    pixels = patches.unflatten(-1, (3, -1, 1))  # the transform wants (..., 3, H, W)
    return _TRANSFORM.normalise(pixels, dtype).flatten(1)


_TRANSFORM = ClipTransform(View(28), MEAN, STD)
