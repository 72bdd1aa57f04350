"""Clips for the benchmarks, drawn and encoded on the spot: decoding them is as much work as decoding real ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


@dataclass(frozen=True)
class ClipSpec:
    """A clip to make."""

    width: int
    height: int
    gop: int
    """Frames from one key frame to the next."""
    seconds: float = 10.0
    fps: int = 30

    @property
    def name(self) -> str:
        """The clip in a few words."""
        return f"{self.height}p, {self.seconds:g} s, key frame every {self.gop}"

    @property
    def num_frames(self) -> int:
        """Frames of the whole clip."""
        return round(self.seconds * self.fps)


def write_clip(path: Path, spec: ClipSpec) -> Path:
    """An H.264 file with texture, a moving camera, moving objects and a little noise."""
    options = {"crf": "23", "preset": "veryfast", "g": str(spec.gop), "keyint_min": str(spec.gop), "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=spec.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        for number, pixels in enumerate(draw_frames(spec)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, spec.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def draw_frames(spec: ClipSpec) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 frames."""
    rng = np.random.default_rng(7)
    margin, side = spec.height // 2, spec.height // 5
    background = texture(rng, spec.height + margin, spec.width + margin)
    objects = [(texture(rng, side, side), rng.uniform(0.5, 2.0, size=2), rng.uniform(0, 6, size=2)) for _ in range(4)]
    noise = [rng.integers(-3, 4, (spec.height, spec.width, 1), dtype=np.int16) for _ in range(8)]
    for number in range(spec.num_frames):
        t = number / spec.fps
        top, left = (round((1 + np.sin(rate * t)) * margin / 2) for rate in (0.6, 0.8))
        picture = background[top : top + spec.height, left : left + spec.width].copy()
        for pixels, rate, phase in objects:
            y, x = (1 + np.sin(rate * t + phase)) / 2 * (spec.height - side, spec.width - side)
            picture[int(y) : int(y) + side, int(x) : int(x) + side] = pixels
        yield (picture + noise[number % len(noise)]).clip(0, 255).astype(np.uint8)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) int16: coloured detail at several scales."""
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for scale in (4, 16, 64, 256):
        coarse = rng.random((height // scale + 2, width // scale + 2, 3), dtype=np.float32) * 255
        smooth = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        picture += np.asarray(smooth, dtype=np.float32) * (0.1 if scale == 4 else 0.3)
    return picture.astype(np.int16)
