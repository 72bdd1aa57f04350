"""How frames become what an encoder sees: square uint8 views in the loader, normalised floats on the device."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import torch
import torchvision.transforms.v2.functional as vision
from torch import Tensor
from torchvision.transforms import InterpolationMode

from merv.errors import ConfigError

Resize = Literal["naive", "crop", "letterbox"]
Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class View:
    """A square of `size` pixels made of each frame; encoders with equal views share the work."""

    size: int
    """Side of the square in pixels."""
    resize: Resize = "naive"
    """naive (aspect ignored) | crop (short side scaled, centre kept) | letterbox (padded to a square first)."""
    interpolation: Interpolation = "bicubic"
    """Filter of the resampling."""
    fill: tuple[int, int, int] = (128, 128, 128)
    """Colour of the letterbox bars, 0..255."""
    short_side: int | None = None
    """Pixels the short side is scaled to before the crop; None means `size`.  Hiera and ViViT take 224 of 256."""
    antialias: bool = True
    """Widen the filter when shrinking, as PIL does; LanguageBind was trained without."""

    def __post_init__(self) -> None:
        """Refuse what no frame could be brought to."""
        if self.size < 2:  # torch's uint8 kernels fail where a single pixel comes out
            raise ConfigError(f"view: size is {self.size}; give at least 2 pixels")
        for field, choices in (("resize", get_args(Resize)), ("interpolation", get_args(Interpolation))):
            if getattr(self, field) not in choices:
                raise ConfigError(f"view: {field} is `{getattr(self, field)}`; choose {' | '.join(choices)}")
        if len(self.fill) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in self.fill):
            raise ConfigError(f"view: fill is {self.fill}; give three whole numbers 0..255")
        if self.short_side is not None and (self.resize != "crop" or self.short_side < self.size):
            raise ConfigError(
                f"view: short_side is {self.short_side} with resize `{self.resize}` and size {self.size}; "
                f"only crop has one, and it must be at least the size"
            )

    @property
    def name(self) -> str:
        """The view in a word, such as "224-naive-bicubic": a key that equal views share."""
        parts = [str(self.size), self.resize, self.interpolation]
        if self.resize == "letterbox":
            parts.append("".join(f"{c:02x}" for c in self.fill))
        if self.short_side not in (None, self.size):
            parts.append(f"of{self.short_side}")
        return "-".join(parts if self.antialias else [*parts, "aliased"])

    def apply(self, frames: Tensor) -> Tensor:
        """Bring frames to the view.  uint8 (T, 3, H, W) -> uint8 (T, 3, size, size), the same object when it fits.

        Frames stored channels-last, as `read_clip` gives them, take torch's fast uint8 kernels.
        """
        assert frames.dtype == torch.uint8, f"frames are {frames.dtype}"
        assert frames.ndim == 4, f"frames have {frames.ndim} dimensions"
        if frames.shape[-2:] == (self.size, self.size) and self.short_side in (None, self.size):
            return frames
        if self.resize == "crop":
            return vision.center_crop(self._scale_short_side(frames), [self.size, self.size])
        return self._resample(self._pad(frames) if self.resize == "letterbox" else frames, self.size, self.size)

    def _scale_short_side(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        target, short = self.short_side or self.size, min(height, width)
        return self._resample(frames, int(target * height / short), int(target * width / short))

    def _pad(self, frames: Tensor) -> Tensor:
        """Bars of `fill` around the frames until they are square; an odd pixel goes right or below."""
        count, _, height, width = frames.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = frames.new_tensor(self.fill).expand(count, side, side, 3).contiguous().permute(0, 3, 1, 2)
        square[..., top : top + height, left : left + width] = frames
        return square

    def _resample(self, frames: Tensor, height: int, width: int) -> Tensor:
        return resize_frames(frames, (height, width), self.interpolation, antialias=self.antialias)


@dataclass(frozen=True)
class ClipTransform:
    """A view, and the mean and deviation its pixels are normalised with; never a flip."""

    view: View
    mean: tuple[float, float, float]
    """Red, green and blue, of pixels scaled to 0..1."""
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse statistics that are no three numbers, and a deviation that cannot divide."""
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ConfigError(f"transform: mean {self.mean} and std {self.std} must have three numbers each")
        if not all(s > 0 for s in self.std):
            raise ConfigError(f"transform: std is {self.std}; every channel needs one above 0")

    def normalise(self, frames: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """(pixels / 255 - mean) / std as one multiply-add.  (..., 3, H, W) of 0..255 -> the same shape in `dtype`.

        The arithmetic is float32 whatever `dtype` is: bfloat16 cannot tell 255 levels apart near 1.
        """
        scale, shift = _scale_and_shift(self.mean, self.std, frames.device)
        return torch.addcmul(shift, frames.float(), scale).to(dtype)


def resize_frames(
    frames: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic", *, antialias: bool = True
) -> Tensor:
    """Frames at another size, the same object when it fits.  uint8 (T, 3, H, W) -> uint8 (T, 3, *size).

    The arithmetic is that of bytes: a tenth of the values is one level off what floats give, in a seventh of the time.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    frames = frames.contiguous(memory_format=torch.channels_last)  # what torch's fast uint8 kernels want
    return vision.resize(frames, list(size), interpolation=InterpolationMode(interpolation), antialias=antialias)


@lru_cache(maxsize=64)
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """What turns 0..255 into normalised values, put on the device once: each copy would make the host wait."""
    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(3, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device).view(3, 1, 1)
    return scale, shift
