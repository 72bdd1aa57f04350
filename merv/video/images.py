"""Still images, and folders of them that stand for a video."""

import re
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from merv.errors import SampleError

MAX_PIXELS = 100_000_000
"""Pixels of one frame beyond which a file is refused: it would take the memory of a whole batch."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})

# What PIL raises on files that lie about themselves, beside OSError: its parsers index and unpack before they check.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def read_image(path: Path) -> Tensor:
    """The picture as a viewer shows it.  -> uint8 (3, H, W), channels last in memory.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits; of several pages or
    animation frames it is the first.

    Raises:
        SampleError: the file is missing, damaged, no image or larger than `MAX_PIXELS`.
    """
    check_file(path, "image")
    try:
        with Image.open(path) as image:
            check_pixels(path, *image.size)
            rgb = _to_rgb(ImageOps.exif_transpose(image))
    except SampleError:
        raise
    except _UNREADABLE as error:
        raise SampleError(f"image `{path}` cannot be read: {one_line(error)}; replace or drop it") from error
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)


def list_frames(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, so that frame 10 follows frame 9.

    Raises:
        SampleError: there is none.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not files:
        raise SampleError(f"folder `{folder}` holds no images; expected the frames of a video")
    return sorted(files, key=_natural)


def check_file(path: Path, what: str) -> None:
    """Refuse a path with nothing to read behind it.

    Raises:
        SampleError: missing, not a file, or empty.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise SampleError(f"{what} `{path}` {found}; check the row and the dataset's media folder")
    if path.stat().st_size == 0:
        raise SampleError(f"{what} `{path}` is empty (0 bytes); fetch it again")


def check_pixels(path: Path, width: int, height: int) -> None:
    """Refuse frames no memory should be spent on.

    Raises:
        SampleError: more than `MAX_PIXELS`, or none at all.
    """
    if not 0 < width * height <= MAX_PIXELS:
        limit = f"{MAX_PIXELS // 1_000_000} million pixels"
        raise SampleError(f"`{path}` has frames of {width}x{height}; expected 1 to {limit}: replace or drop it")


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bit(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale grey levels of 16 bits, or floats of 0..1, to 0..255; PIL alone would clip them.

    Levels that never leave 0..255 are taken for 8 bits in a wider file.
    """
    levels = np.nan_to_num(np.asarray(image).astype(np.float32))
    brightest = levels.max()
    full = 255.0 if brightest <= 255 else 65535.0
    if image.mode == "F" and brightest <= 1:
        full = 1.0
    return Image.fromarray((levels / full * 255).round().clip(0, 255).astype(np.uint8))


def _natural(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]
