"""Still images, and folders of them that stand for a video."""

import re
import struct
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from merv.errors import SampleError
from merv.video.media import MediaRef
from merv.video.places import Piece, Place, check_place, opened, pieces_of

MAX_PIXELS = 100_000_000
"""Pixels of one frame beyond which a file is refused: it would take the memory of a whole batch."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})

# What PIL raises on files that lie about themselves, beside OSError: its parsers index and unpack before they check.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def read_image(place: Place) -> Tensor:
    """The picture as a viewer shows it.  -> uint8 (3, H, W), channels last in memory.

    Raises:
        SampleError: as `open_image` does.
    """
    return torch.from_numpy(np.array(open_image(place))).permute(2, 0, 1)


def open_image(place: Place, at_least: int | None = None) -> Image.Image:
    """The picture as a viewer shows it, in RGB.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled to 8 bits; of several pages or
    animation frames it is the first.

    Args:
        place: the file, or a piece of one.
        at_least: pixels each side has to keep; a larger JPEG is decoded at a half, quarter or eighth of its size,
            which is faster.  None decodes all of it.

    Raises:
        SampleError: the file is missing, damaged, no image or larger than `MAX_PIXELS`.
    """
    check_place(place, "image")
    try:
        with opened(place) if isinstance(place, Piece) else nullcontext(place) as file, Image.open(file) as image:
            check_pixels(place, *image.size)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            return _to_rgb(ImageOps.exif_transpose(image))
    except SampleError:
        raise
    except _UNREADABLE as error:
        raise SampleError(f"image `{place}` cannot be read: {one_line(error)}; replace or drop it") from error


def list_frames(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, so that frame 10 follows frame 9.

    Raises:
        SampleError: there is none.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not files:
        raise SampleError(f"folder `{folder}` holds no images; expected the frames of a video")
    return sorted(files, key=_natural)


def frames_of(ref: MediaRef) -> Sequence[Place] | None:
    """The images of a folder that stands for a video, in order; None for any other medium.

    Raises:
        SampleError: the folder holds none.
    """
    if ref.within is not None:
        return pieces_of(ref) if ref.within.is_folder else None
    return list_frames(ref.path) if ref.path.is_dir() else None


def check_pixels(place: Place, width: int, height: int) -> None:
    """Refuse frames no memory should be spent on.

    Raises:
        SampleError: more than `MAX_PIXELS`, or none at all.
    """
    if not 0 < width * height <= MAX_PIXELS:
        limit = f"{MAX_PIXELS // 1_000_000} million pixels"
        raise SampleError(f"`{place}` has frames of {width}x{height}; expected 1 to {limit}: replace or drop it")


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
