"""How a model of transformers is shown images and videos: a user's options, and what its processor makes of them.

Aria's options (max_image_size, split_image, frames as images) are those of https://github.com/rhymes-ai/Aria,
pixels and frames a second those of https://github.com/QwenLM/Qwen2.5-VL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from merv.errors import ConfigError
from merv.video.budget import VisualBudget

VideoAs = Literal["auto", "video", "frames"]
FrameChoice = Literal["even", "left"]

NUM_FRAMES = 8
"""Images a video becomes where nobody says how many."""
UNKNOWN_AREA = 2048 * 2048
"""Pixels to which frames are shrunk as they are decoded where a processor does not say what it needs."""


@dataclass
class LookConfig:
    """What is shown of images and videos."""

    video_as: VideoAs = "auto"
    """video gives the model videos as it was trained on them, frames gives several images in a video's place; auto is
    video where the model's processor takes videos, else frames."""
    num_frames: int | None = None
    """Frames of every video; a row's own `num_frames` wins.  None: by `fps` for videos, 8 where they become images."""
    frame_choice: FrameChoice = "even"
    """even spreads frames over the video, both ends included; left takes every int(total / num_frames)-th from the
    first, as Aria does.  Only for frames as images."""
    fps: float = 2.0
    """Frames a second of a video; not for frames as images."""
    min_frames: int = 4
    """Fewest frames that `fps` leads to; a shorter video has as many as it has."""
    max_frames: int = 64
    """Most frames that `fps` leads to."""
    min_pixels: int | None = None
    """Fewest pixels of an image or a frame of a video; None keeps the published number."""
    max_pixels: int | None = None
    """Most pixels of an image or a frame of a video; None keeps the published number."""
    max_image_size: int | None = None
    """Pixels of an image's longer side, 490 or 980 for Aria; None keeps the published number."""
    split_image: bool | None = None
    """Cut large images into several; None does as published."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name, kind in (("video_as", VideoAs), ("frame_choice", FrameChoice)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} is `{getattr(self, name)}`; choose {' | '.join(get_args(kind))}")
        for name in ("num_frames", "min_frames", "max_frames", "min_pixels", "max_pixels", "max_image_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; give at least 1")
        if not self.fps > 0:
            raise ConfigError(f"fps is {self.fps:g}; it must be above 0")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ConfigError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}")


def native_video(look: LookConfig, processor: Any) -> bool:
    """Whether videos stay videos.

    Raises:
        ConfigError: they are to, but frames are to be chosen as for images.
    """
    takes = getattr(processor, "video_processor", None) is not None
    native = look.video_as == "video" or (look.video_as == "auto" and takes)
    if native and look.frame_choice == "left":
        raise ConfigError("frame_choice `left` is for frames as images; set video_as to frames")
    return native


def image_options(look: LookConfig, image_processor: Any) -> dict[str, Any]:
    """What the image processor is called with beside its own defaults.

    Raises:
        ConfigError: it has no such option.
    """
    known = _options_of(image_processor)
    wanted = {name: getattr(look, name) for name in ("min_pixels", "max_pixels", "max_image_size", "split_image")}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"{name} is no option of {type(image_processor).__name__}; "
                f"it knows {', '.join(known) or 'none of the sizes'}"
            )
    options = {name: value for name, value in wanted.items() if not name.endswith("_pixels")}
    if len(options) < len(wanted):
        options["size"] = _pixel_limits(look, image_processor)
    return options


def smallest_options(options: Mapping[str, Any], image_processor: Any) -> dict[str, Any]:
    """The same options for the smallest image there can be: pixel limits begin at one token."""
    if not _counts_pixels(image_processor):
        return dict(options)
    least, most = _edges(image_processor)
    one = _factor(image_processor) ** 2
    limits = options.get("size") or {most: _edge(image_processor, most)}
    return {**options, "size": {least: one, most: max(one, limits[most])}}


def video_budget(look: LookConfig, video_processor: Any) -> tuple[VisualBudget, bool]:
    """Frames of a video, and whether they come in their final size; else the video processor resizes.

    Raises:
        ConfigError: pixels are limited for a video processor that counts none, or leave no room for a token.
    """
    ours = _counts_pixels(video_processor)
    if (look.min_pixels or look.max_pixels) and not (ours or hasattr(video_processor, "merge_size")):
        raise ConfigError(
            f"min_pixels and max_pixels are no options of {type(video_processor).__name__}; leave them out"
        )
    ours = ours or bool(look.min_pixels or look.max_pixels)
    step = getattr(video_processor, "temporal_patch_size", None)
    step = step if isinstance(step, int) else 1
    sizes = {"min_pixels": 1, "max_pixels": area_needed(video_processor, {}), "factor": 1}
    if ours:
        limits = _pixel_limits(look, video_processor)
        least, most = limits.values()
        sizes = {"min_pixels": least, "max_pixels": most, "factor": _factor(video_processor)}
    budget = VisualBudget(
        fps=look.fps,
        min_frames=max(step, look.min_frames),
        max_frames=max(step, look.max_frames),
        frame_factor=step,
        **sizes,
    )
    return budget, ours


def area_needed(processor: Any, options: Mapping[str, Any]) -> int:
    """Pixels of a frame beyond which a processor only throws them away, with room for its own resampling."""
    if options.get("split_image", getattr(processor, "split_image", False)):
        resolutions = getattr(processor, "split_resolutions", None) or []
        return 2 * max((max(pair) ** 2 for pair in resolutions), default=UNKNOWN_AREA)
    longest = options.get("max_image_size", getattr(processor, "max_image_size", None))
    if isinstance(longest, int):
        return 2 * longest**2
    if _counts_pixels(processor):
        return 2 * (options.get("size") or {}).get("longest_edge", _edge(processor, _edges(processor)[1]))
    height, width, short = (_edge(processor, name) for name in ("height", "width", "shortest_edge"))
    if height and width:
        return 2 * max(height, width) ** 2
    only_short = short and not _edge(processor, "longest_edge")
    return 8 * short**2 if only_short else UNKNOWN_AREA


def smallest_side(processor: Any) -> int:
    """Pixels of the side of the smallest picture to call a processor with; it makes of it what it needs."""
    return _factor(processor) if _factor(processor) > 1 else 32


def _options_of(image_processor: Any) -> list[str]:
    """Names of ours that an image processor knows."""
    valid = _valid(image_processor)
    named = [name for name in ("max_image_size", "split_image") if name in valid]
    return (["min_pixels", "max_pixels"] if _counts_pixels(image_processor) else []) + named


def _valid(processor: Any) -> set[str]:
    return set(getattr(getattr(processor, "valid_kwargs", None), "__annotations__", ()))


def _counts_pixels(processor: Any) -> bool:
    """Whether its size is a range of pixels of one picture, as Qwen2-VL's is."""
    if _edge(processor, "min_pixels") and _edge(processor, "max_pixels"):
        return True
    return {"min_pixels", "max_pixels"} <= _valid(processor) and bool(_edge(processor, "longest_edge"))


def _edges(processor: Any) -> tuple[str, str]:
    """What it calls the fewest and the most pixels."""
    return ("min_pixels", "max_pixels") if _edge(processor, "max_pixels") else ("shortest_edge", "longest_edge")


def _edge(processor: Any, name: str) -> Any:
    size = getattr(processor, "size", None)
    return size.get(name) if isinstance(size, dict) else getattr(size, name, None)


def _factor(processor: Any) -> int:
    """Pixels both sides are multiples of."""
    patch, merge = getattr(processor, "patch_size", None), getattr(processor, "merge_size", 1)
    return patch * merge if isinstance(patch, int) and isinstance(merge, int) else 1


def _pixel_limits(look: LookConfig, processor: Any) -> dict[str, int]:
    """Fewest and most pixels under the processor's names; a limit of ours moves the published other one along."""
    least, most = _edges(processor)
    fewest = look.min_pixels or min(_edge(processor, least) or 1, look.max_pixels or _edge(processor, most))
    return {least: fewest, most: look.max_pixels or max(_edge(processor, most), fewest)}
