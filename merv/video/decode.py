"""From a reference to pixels: a few frames of a video file or a folder of frames, or a still image."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from torch import Tensor

from merv.errors import SampleError
from merv.video.budget import VisualBudget
from merv.video.files import FramePicker, open_video
from merv.video.images import frames_of, read_image
from merv.video.media import MediaRef, Span
from merv.video.places import Place, place_of
from merv.video.sampling import uniform_indices
from merv.video.timeline import Timeline, budgeted_frames, choose_frames, even_timeline, read_timeline
from merv.video.transforms import resize_frames

FOLDER_FPS = 3.0
"""Rate of the folders VLEP and TVQA come as."""

SMALL = 1 << 24
"""Bytes of frames that are kept and resized together, which is faster; larger ones are resized one by one."""
Fit = Callable[[Tensor], Tensor]
"""What becomes of a frame, uint8 (3, H, W), or of several, (T, 3, H, W), once they are decoded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """The frames read, and when they are shown."""

    frames: Tensor
    """uint8 (T, 3, H, W), RGB, upright, channels last in memory."""
    times: tuple[float, ...]
    """Seconds each frame appears at, counted from the first frame of the video."""
    duration: float
    """Seconds the whole video lasts; 0 for a still image."""
    note: str = ""
    """What is not as it was asked for, such as frames a damaged file did not give."""
    span: Span = field(default_factory=lambda: Span(0.0, 0.0))
    """Seconds the frames stand for: the stretch asked for, as far as the video goes; 0..0 for a still image."""


def read_clip(ref: MediaRef, num_frames: int, *, folder_fps: float = FOLDER_FPS, threads: int = 1) -> Clip:
    """Read `num_frames` frames spread evenly over the video, or over `ref.span`; a still image gives one frame.

    At a constant frame rate the frames are those of `uniform_indices`; otherwise they are the ones on screen at evenly
    spaced times.  Frames repeat when the stretch has fewer.

    Args:
        ref: what to read.  An animated GIF is a video or, as an image, its first frame.
        num_frames: T of the clip, at least 1.
        folder_fps: frames a second of a folder of frames, whose files do not say.
        threads: of the decoder; loaders work in processes, one thread each.

    Raises:
        SampleError: the file is missing, holds no such media, or nothing of it decodes.
    """
    assert num_frames >= 1, f"{num_frames} frames asked for"
    if ref.kind == "image":
        return Clip(read_image(place_of(ref))[None], times=(0.0,), duration=0.0)
    if (files := frames_of(ref)) is not None:
        return _read_folder(
            ref, files, lambda total: uniform_indices(total, num_frames, folder_fps, ref.span), folder_fps
        )
    return _read_file(ref, lambda timeline: choose_frames(timeline, num_frames, ref.span), threads)


def read_sampled(
    ref: MediaRef, budget: VisualBudget, *, resize: bool = True, folder_fps: float = FOLDER_FPS, threads: int = 1
) -> Clip:
    """Read as many frames of a video, or of `ref.span`, as a budget allows; a still image gives one.

    An end past the video is its end.  Frames are chosen by number at a constant frame rate, otherwise by time.

    Args:
        ref: what to read.
        budget: frames a second, limits, and the size of a frame.
        resize: bring each frame to the budget's size once it is decoded, so that only one at a time is large.
        folder_fps: frames a second of a folder of frames, whose files do not say.
        threads: of the decoder.

    Raises:
        SampleError: the file is missing, holds no such media, nothing of it decodes, its frames are too long for their
            width, or the span begins where the video has ended.
    """
    fit = _fitting(ref.where, budget) if resize else _as_it_is
    if ref.kind == "image":
        return Clip(fit(read_image(place_of(ref)))[None], times=(0.0,), duration=0.0)

    def of_folder(total: int) -> list[int]:
        _check_start(ref, total / folder_fps)
        return budget.indices(total, folder_fps, ref.span)

    def of_file(timeline: Timeline) -> list[int]:
        _check_start(ref, timeline.duration)
        return budgeted_frames(timeline, budget, ref.span)

    if (files := frames_of(ref)) is not None:
        return _read_folder(ref, files, of_folder, folder_fps, fit)
    return _read_file(ref, of_file, threads, fit)


def read_chosen(
    ref: MediaRef,
    choose: Callable[[Timeline], list[int]],
    *,
    budget: VisualBudget | None = None,
    folder_fps: float = FOLDER_FPS,
    threads: int = 1,
) -> Clip:
    """Read the frames of a video that `choose` names by number; a still image gives one.

    Args:
        ref: what to read; its span is for `choose` to heed.
        choose: gives frame numbers, in the order wanted; a folder of frames has a timeline as well.
        budget: the size each frame is brought to once it is decoded; None leaves it.
        folder_fps: frames a second of a folder of frames, whose files do not say.
        threads: of the decoder.

    Raises:
        SampleError: the file is missing, holds no such media, nothing of it decodes, its frames are too long for their
            width, or the span begins where the video has ended.
    """
    fit = _as_it_is if budget is None else _fitting(ref.where, budget)
    if ref.kind == "image":
        return Clip(fit(read_image(place_of(ref)))[None], times=(0.0,), duration=0.0)

    def within(timeline: Timeline) -> list[int]:
        _check_start(ref, timeline.duration)
        return choose(timeline)

    if (files := frames_of(ref)) is not None:
        return _read_folder(ref, files, lambda total: within(even_timeline(total, folder_fps)), folder_fps, fit)
    return _read_file(ref, within, threads, fit)


def _fitting(where: str, budget: VisualBudget) -> Fit:
    def fit(picture: Tensor) -> Tensor:
        try:
            size = budget.size(*picture.shape[-2:])
        except SampleError as error:
            raise SampleError(f"`{where}`: {error}; crop or drop it") from error
        return resize_frames(picture[None], size)[0] if picture.ndim == 3 else resize_frames(picture, size)

    return fit


def _check_start(ref: MediaRef, duration: float) -> None:
    """Refuse a span with nothing of the video in it."""
    if ref.span is not None and ref.span.start >= duration:
        raise SampleError(
            f"`{ref.where}` lasts {duration:.2f} s, but the span begins at {ref.span.start:.2f} s; correct the seconds"
        )


def _shown(ref: MediaRef, duration: float) -> Span:
    """The stretch that is asked for, as far as the video goes."""
    span = ref.span or Span(0.0, duration)
    return Span(min(span.start, duration), min(span.end, duration))


def _as_it_is(picture: Tensor) -> Tensor:
    return picture


def _read_folder(
    ref: MediaRef, files: Sequence[Place], choose: Callable[[int], list[int]], fps: float, fit: Fit = _as_it_is
) -> Clip:
    numbers = choose(len(files))
    pictures = {number: fit(read_image(files[number])) for number in sorted(set(numbers))}
    sizes = {tuple(picture.shape[1:]) for picture in pictures.values()}
    if len(sizes) > 1:
        found = " and ".join(f"{width}x{height}" for height, width in sorted(sizes)[:2])
        raise SampleError(f"folder `{ref.where}` mixes frames of {found}; expected those of one video")
    rows = torch.stack([pictures[number].permute(1, 2, 0) for number in numbers])
    times = tuple(number / fps for number in numbers)
    duration = len(files) / fps
    return Clip(rows.permute(0, 3, 1, 2), times, duration, span=_shown(ref, duration))


def _read_file(ref: MediaRef, choose: Callable[[Timeline], list[int]], threads: int, fit: Fit = _as_it_is) -> Clip:
    place = place_of(ref)
    with open_video(place, threads) as (container, stream):
        timeline = read_timeline(container, stream)
        if timeline is None:
            raise SampleError(f"video `{place}` holds no frames; fetch it again or drop it")
        numbers = choose(timeline)
        wanted = sorted(set(numbers))
        picker = FramePicker(place, container, stream, timeline)
        pixels = _Pixels(place, len(wanted), fit)
        for number, frame in picker.pick(wanted):
            pixels.add(number, frame)
    frames = pixels.take(numbers)
    lost = picker.replaced | set(wanted).difference(pixels.rows)
    note = ""
    if lost or picker.num_damaged:
        note = f"{picker.num_damaged} damaged packets; neighbours stand in for {len(lost)} of {len(wanted)} frames"
        _log.warning("video `%s`: %s", place, note)
    times = timeline.times
    shown = _shown(ref, timeline.duration)
    return Clip(frames, tuple(times[number] for number in numbers), timeline.duration, note, shown)


class _Pixels:
    """Collects decoded frames, upright and in RGB, as rows of one tensor."""

    def __init__(self, place: Place, capacity: int, fit: Fit) -> None:
        self.place = place
        self.capacity = capacity
        self.fit = fit
        self.at_once = False
        self.rows: dict[int, int] = {}
        self.store: Tensor | None = None
        self.first: VideoFrame | None = None
        self.reformatter = VideoReformatter()

    def add(self, number: int, frame: VideoFrame) -> None:
        """Convert one frame; a stream that changes its size midway keeps the first size."""
        if self.first is None:
            self.first = frame
        rgb = self.reformatter.reformat(frame, width=self.first.width, height=self.first.height, format="rgb24")
        picture = torch.from_numpy(rgb.to_ndarray())
        if turns := round(self.first.rotation / 90) % 4:
            picture = torch.rot90(picture, turns)  # counterclockwise, as a display matrix is read
        if self.store is None:
            self.at_once = self.capacity * picture.numel() <= SMALL
        if not self.at_once:
            picture = self.fit(picture.permute(2, 0, 1)).permute(1, 2, 0)
        if self.store is None:
            self.store = torch.empty(self.capacity, *picture.shape, dtype=torch.uint8)
        self.store[self.rows.setdefault(number, len(self.rows))] = picture

    def take(self, numbers: list[int]) -> Tensor:
        """Frames by number, the nearest one for those that never came.  -> uint8 (T, 3, H, W)."""
        if self.store is None:
            raise SampleError(f"video `{self.place}`: none of the {self.capacity} frames wanted decodes; drop it")
        if self.at_once:
            self.store = self.fit(self.store.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        known = sorted(self.rows)
        rows = [self.rows[_nearest(known, number)] for number in numbers]
        frames = self.store if rows == list(range(self.capacity)) else self.store[rows]
        return frames.permute(0, 3, 1, 2)


def _nearest(known: list[int], number: int) -> int:
    at = bisect_left(known, number)
    return min(known[max(0, at - 1) : at + 1], key=lambda other: abs(other - number))
