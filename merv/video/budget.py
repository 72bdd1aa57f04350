"""How many frames of a video are looked at, and how large: a rate and limits, as Qwen2-VL spends them.

The arithmetic is that of qwen-vl-utils (https://github.com/QwenLM/Qwen2.5-VL) and VideoMind
(https://github.com/yeliudev/VideoMind); a clip shorter than they accept is shown as far as it goes.
"""

import math
from dataclasses import dataclass

from merv.errors import ConfigError, SampleError
from merv.video.media import Span

MAX_RATIO = 200
"""How many times longer than the other one side of a frame may be."""


@dataclass(frozen=True)
class VisualBudget:
    """Frames a second, and limits of their number and size."""

    fps: float = 2.0
    """Frames wanted of each second."""
    max_frames: int = 768
    """Most frames of a clip."""
    min_frames: int = 4
    """Fewest frames of a clip, unless max_frames is less; a shorter clip has as many as it has."""
    min_pixels: int = 4 * 28 * 28
    """Fewest pixels of a resized frame."""
    max_pixels: int = 16384 * 28 * 28
    """Most pixels of a resized frame."""
    factor: int = 28
    """Pixels that both sides of a resized frame are multiples of."""
    frame_factor: int = 2
    """The number of frames is a multiple of it."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not self.fps > 0 or self.factor < 1 or self.frame_factor < 1:
            raise ConfigError(
                f"fps {self.fps:g}, factor {self.factor} and frame_factor {self.frame_factor} must be above 0"
            )
        if self.min_frames < self.frame_factor:
            raise ConfigError(f"min_frames is {self.min_frames}; it must be at least {self.frame_factor}")
        if self.max_frames < self.frame_factor:
            raise ConfigError(f"max_frames is {self.max_frames}; it must be at least {self.frame_factor}")
        if not 0 < self.min_pixels <= self.max_pixels or self.max_pixels < self.factor**2:
            raise ConfigError(
                f"min_pixels {self.min_pixels}, max_pixels {self.max_pixels}: expected 0 < min <= max, and room for "
                f"{self.factor} x {self.factor}"
            )

    def num_frames(self, total: int, rate: float) -> int:
        """Frames to look at of `total` frames shown at `rate` a second: even, at most those there are.

        A clip of one frame shows it `frame_factor` times.
        """
        assert total >= 1, f"{total} frames to choose from"
        low = math.ceil(self.min_frames / self.frame_factor) * self.frame_factor
        high = self.max_frames // self.frame_factor * self.frame_factor
        wanted = min(max(total / rate * self.fps, low), high)
        number = round(wanted / self.frame_factor) * self.frame_factor
        there = total // self.frame_factor * self.frame_factor
        return max(self.frame_factor, min(number, there))

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a frame after resizing: multiples of `factor`, the shape kept as far as that allows.

        Raises:
            SampleError: a frame longer than 200 times its width.
        """
        if max(height, width) > MAX_RATIO * min(height, width):
            raise SampleError(f"frames of {width}x{height} pixels are more than {MAX_RATIO} times as long as wide")
        sides = [max(self.factor, round(side / self.factor) * self.factor) for side in (height, width)]
        if sides[0] * sides[1] > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            sides = [
                max(self.factor, math.floor(side / shrink / self.factor) * self.factor) for side in (height, width)
            ]
        elif sides[0] * sides[1] < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            sides = [math.ceil(side * grow / self.factor) * self.factor for side in (height, width)]
        return sides[0], sides[1]

    def indices(self, total: int, rate: float, span: Span | None = None) -> list[int]:
        """Numbers of the frames to look at, spread evenly over the video or `span` (seconds), both ends included."""
        import torch  # which way halves go hangs on its float32 steps; numpy's are others

        first, last = 0, total - 1
        if span is not None:
            first = min(max(0, round(span.start * rate)), last)
            last = min(max(first, round(min(span.end, total / rate) * rate)), last)
        number = self.num_frames(last - first + 1, rate)
        return torch.linspace(first, last, number).round().long().tolist()
