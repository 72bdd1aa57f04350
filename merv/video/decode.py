"""From a reference to pixels: a few frames of a video file or a folder of frames, or a still image."""

import logging
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from torch import Tensor

from merv.errors import SampleError
from merv.video.files import FramePicker, open_video
from merv.video.images import list_frames, read_image
from merv.video.media import MediaRef
from merv.video.sampling import uniform_indices
from merv.video.timeline import choose_frames, read_timeline

FOLDER_FPS = 3.0
"""Rate of the folders VLEP and TVQA come as."""

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
        return Clip(read_image(ref.path)[None], times=(0.0,), duration=0.0)
    if ref.path.is_dir():
        return _read_folder(ref, num_frames, folder_fps)
    return _read_file(ref, num_frames, threads)


def _read_folder(ref: MediaRef, num_frames: int, fps: float) -> Clip:
    files = list_frames(ref.path)
    numbers = uniform_indices(len(files), num_frames, fps, ref.span)
    pictures = {number: read_image(files[number]) for number in sorted(set(numbers))}
    sizes = {tuple(picture.shape[1:]) for picture in pictures.values()}
    if len(sizes) > 1:
        found = " and ".join(f"{width}x{height}" for height, width in sorted(sizes)[:2])
        raise SampleError(f"folder `{ref.path}` mixes frames of {found}; expected those of one video")
    rows = torch.stack([pictures[number].permute(1, 2, 0) for number in numbers])
    return Clip(rows.permute(0, 3, 1, 2), tuple(number / fps for number in numbers), len(files) / fps)


def _read_file(ref: MediaRef, num_frames: int, threads: int) -> Clip:
    with open_video(ref.path, threads) as (container, stream):
        timeline = read_timeline(container, stream)
        if timeline is None:
            raise SampleError(f"video `{ref.path}` holds no frames; fetch it again or drop it")
        numbers = choose_frames(timeline, num_frames, ref.span)
        wanted = sorted(set(numbers))
        picker = FramePicker(ref.path, container, stream, timeline)
        pixels = _Pixels(ref.path, len(wanted))
        for number, frame in picker.pick(wanted):
            pixels.add(number, frame)
    frames = pixels.take(numbers)
    lost = picker.replaced | set(wanted).difference(pixels.rows)
    note = ""
    if lost or picker.num_damaged:
        note = f"{picker.num_damaged} damaged packets; neighbours stand in for {len(lost)} of {len(wanted)} frames"
        _log.warning("video `%s`: %s", ref.path, note)
    times = timeline.times
    return Clip(frames, tuple(times[number] for number in numbers), timeline.duration, note)


class _Pixels:
    """Collects decoded frames, upright and in RGB, as rows of one tensor."""

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.capacity = capacity
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
            self.store = torch.empty(self.capacity, *picture.shape, dtype=torch.uint8)
        self.store[self.rows.setdefault(number, len(self.rows))] = picture

    def take(self, numbers: list[int]) -> Tensor:
        """Frames by number, the nearest one for those that never came.  -> uint8 (T, 3, H, W)."""
        if self.store is None:
            raise SampleError(f"video `{self.path}`: none of the {self.capacity} frames wanted decodes; drop it")
        known = sorted(self.rows)
        rows = [self.rows[_nearest(known, number)] for number in numbers]
        frames = self.store if rows == list(range(self.capacity)) else self.store[rows]
        return frames.permute(0, 3, 1, 2)


def _nearest(known: list[int], number: int) -> int:
    at = bisect_left(known, number)
    return min(known[max(0, at - 1) : at + 1], key=lambda other: abs(other - number))
