"""Small video files whose frames tell their number by their brightness."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from torch import Tensor

STEP = 5
MILLISECONDS = Fraction(1, 1000)


def write_clip(
    path: Path,
    stamps: Sequence[int],
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None,
    clock: Fraction = MILLISECONDS,
) -> Path:
    """A video with one frame at each stamp of the clock; frame i has the grey level 10 + STEP * i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = clock
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base = stamp, clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def picture(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """(H, W, 3): grey, with a white block in the upper left corner that tells which way is up."""
    width, height = size
    pixels = np.full((height, width, 3), 10 + STEP * number, dtype=np.uint8)
    pixels[: height // 4, : width // 4] = 255
    return pixels


def constant(count: int, gap: int = 40) -> list[int]:
    """Stamps of `count` frames at a constant rate."""
    return [gap * i for i in range(count)]


def numbers(frames: Tensor) -> list[int]:
    """Which frame each of (T, 3, H, W) is, by the brightness of its lower right quarter."""
    height, width = frames.shape[-2:]
    levels = frames[..., height // 2 :, width // 2 :].float().mean(dim=(1, 2, 3))
    return ((levels - 10) / STEP).round().int().tolist()


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header of an mp4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # 40 bytes of flags, dates, number, duration and volume
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    return path
