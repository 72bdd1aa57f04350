"""Opening media for a model of transformers: pictures, videos with their times, videos as several pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from merv.errors import SampleError
from merv.models.hf_vlm.look import NUM_FRAMES, FrameChoice, LookConfig, area_needed, video_budget
from merv.video.budget import VisualBudget
from merv.video.media import MediaKind, MediaRef

CLOCK = 1000
"""Ticks a second in which the times of frames are told: files need not have a constant rate."""


@dataclass(frozen=True)
class Shown:
    """A medium as the model's processor takes it."""

    frames: tuple[Tensor, ...]
    """uint8: pictures (3, H, W); one (T, 3, H, W) where a video stays a video."""
    clock: Mapping[str, Any] | None = None
    """What transformers is told about the times of a video's frames; None for pictures."""

    @property
    def items(self) -> tuple[MediaKind, ...]:
        """What stands in the medium's place among the words."""
        return ("video",) if self.clock is not None else tuple("image" for _ in self.frames)


@dataclass(frozen=True)
class Opener:
    """Opens media as one model is shown them."""

    native: bool
    """Whether videos stay videos."""
    budget: VisualBudget
    """Frames and size of a video; of frames as pictures only the size counts."""
    num_frames: int | None
    choice: FrameChoice

    def count(self, ref: MediaRef, meta: Mapping[str, Any]) -> int | None:
        """Frames wanted of a medium by number; None leaves it to their rate.

        Raises:
            SampleError: the row's own number is no whole number above 0.
        """
        if ref.kind == "image":
            return None
        own = meta.get("num_frames")
        if own is not None and (isinstance(own, bool) or not isinstance(own, int) or own < 1):
            raise SampleError(f"the row's num_frames is {own!r}; expected a whole number above 0")
        return own or self.num_frames or (None if self.native else NUM_FRAMES)

    def open(self, ref: MediaRef, count: int | None) -> Shown:
        """Decode a medium.

        Raises:
            SampleError: it cannot be used; the message says why.
        """
        from merv.video.decode import read_chosen, read_sampled
        from merv.video.images import read_image
        from merv.video.places import place_of
        from merv.video.timeline import choose_frames, frames_from_left

        if ref.kind == "image":
            return Shown((read_image(place_of(ref)),))
        if self.native:
            clip = read_sampled(ref, self.budget if count is None else _exactly(self.budget, count))
            return Shown((clip.frames,), _clock(clip.times, clip.span.start, clip.span.duration))
        assert count is not None, "frames as pictures are counted"
        choose = frames_from_left if self.choice == "left" else choose_frames
        clip = read_chosen(ref, lambda timeline: choose(timeline, count, ref.span), budget=self.budget)
        return Shown(tuple(clip.frames))


def opener_for(
    look: LookConfig, processor: Any, image_options: dict[str, Any], *, native: bool
) -> tuple[Opener, bool]:
    """What opens media for a model's processor, and whether videos come in their final size.

    Raises:
        ConfigError: an option the video processor cannot follow.
    """
    if native and getattr(processor, "video_processor", None) is not None:
        budget, sized = video_budget(look, processor.video_processor)
    else:
        area = area_needed(processor.image_processor, image_options)
        budget, sized = VisualBudget(min_pixels=1, max_pixels=area, factor=1, frame_factor=1), False
    return Opener(native, budget, look.num_frames, look.frame_choice), sized


def _exactly(budget: VisualBudget, count: int) -> VisualBudget:
    count = max(count, budget.frame_factor)
    return replace(budget, min_frames=count, max_frames=count)


def _clock(times: tuple[float, ...], start: float, duration: float) -> dict[str, Any]:
    """Times as transformers' VideoMetadata tells them: from the start of the stretch that is shown."""
    return {
        "total_num_frames": max(1, round(duration * CLOCK)),
        "fps": CLOCK,
        "duration": duration,
        "frames_indices": [max(0, round((time - start) * CLOCK)) for time in times],
    }
