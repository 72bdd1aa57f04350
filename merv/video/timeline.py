"""When each frame of a video file is shown, read from its packets without decoding a picture."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from merv.video.budget import VisualBudget
from merv.video.media import Span
from merv.video.sampling import uniform_indices, uniform_times


@dataclass(frozen=True)
class Timeline:
    """The frames of a stream in the order they are shown; positions in `pts` are the frame numbers."""

    pts: tuple[int, ...]
    """Presentation stamps in units of `time_base`, strictly ascending, at least one."""
    keyframes: tuple[int, ...]
    """Numbers of the frames decoding can start at, ascending; the first is 0."""
    time_base: Fraction
    fps: float
    labelled: bool
    """Whether decoded frames carry these stamps; otherwise only their order tells them apart."""

    @property
    def times(self) -> list[float]:
        """Seconds each frame appears at, counted from the first frame."""
        return [float((stamp - self.pts[0]) * self.time_base) for stamp in self.pts]

    @property
    def duration(self) -> float:
        """Seconds from the appearance of the first frame to the end of the last, which stays for a mean interval."""
        return float((self.pts[-1] - self.pts[0]) * self.time_base) + 1 / self.fps

    @property
    def is_constant(self) -> bool:
        """Whether frames come at equal intervals, so that numbers and times say the same."""
        start, count = self.pts[0], len(self.pts)
        gap = (self.pts[-1] - start) / max(1, count - 1)
        # Containers with a coarse clock (matroska: 1 ms) round; half an interval is never rounding.
        return all(abs(stamp - start - i * gap) < gap / 2 for i, stamp in enumerate(self.pts)) if count > 1 else True


def read_timeline(container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Walk through the packets of `stream`; None when there are none.  A file cut short gives what it still holds."""
    shown: list[tuple[int | None, int | None, bool]] = []
    try:
        for packet in container.demux(stream):
            # Empty packets repeat a picture (AVI); discarded ones are cut off by an edit list.
            if packet.size and not packet.is_discard:
                shown.append((packet.pts, packet.dts, packet.is_keyframe))
    except av.FFmpegError:
        pass  # what was read until here can still be shown
    if not shown:
        return None
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    time_base = stream.time_base or 1 / rate
    # AVI knows no presentation stamps: the decoder's guesses run backwards around B-frames, its order is right.
    labelled = "avi" not in container.format.name.split(",")
    stamps = {pts for pts, _, _ in shown if pts is not None}
    if len(stamps) < len(shown):
        labelled = False
        stamps = {dts for _, dts, _ in shown if dts is not None}
    if len(stamps) < len(shown):
        return Timeline(tuple(range(len(shown))), (0,), 1 / rate, float(rate), labelled)
    pts = tuple(sorted(stamps))
    keys = sorted({0} | {bisect_left(pts, stamp) for stamp, _, key in shown if key and stamp in stamps})
    return Timeline(pts, tuple(keys), time_base, _rate(pts, time_base, rate), labelled)


def even_timeline(num_frames: int, fps: float) -> Timeline:
    """Frames without stamps of their own, at a constant rate."""
    return Timeline(tuple(range(num_frames)), (0,), 1 / Fraction(fps), fps, labelled=False)


def choose_frames(timeline: Timeline, num_frames: int, span: Span | None) -> list[int]:
    """Numbers of `num_frames` frames spread over `span`: by number at a constant rate, otherwise evenly in time."""
    if timeline.is_constant:
        return uniform_indices(len(timeline.pts), num_frames, timeline.fps, span)
    times = timeline.times
    start = min(span.start, times[-1]) if span else 0.0
    # Like the frame numbers at a constant rate, the last target is the last frame that appears before the end.
    last = times[max(0, bisect_left(times, span.end) - 1)] if span else times[-1]
    return [max(0, bisect_right(times, t) - 1) for t in uniform_times(start, last, num_frames)]


def frames_from_left(timeline: Timeline, num_frames: int, span: Span | None) -> list[int]:
    """Numbers of frames a whole step apart, from the first of `span`; the tail of the video is never seen.

    This is Aria's rule (https://github.com/rhymes-ai/Aria), but for videos of fewer frames than wanted: it would show
    the first one again and again, here they repeat evenly.
    """
    times = timeline.times
    first = min(bisect_left(times, span.start), len(times) - 1) if span else 0
    total = max(1, bisect_left(times, span.end) - first) if span else len(times)
    step = total // num_frames
    return [first + (step * i if step else i * total // num_frames) for i in range(num_frames)]


def budgeted_frames(timeline: Timeline, budget: VisualBudget, span: Span | None) -> list[int]:
    """Numbers of the frames a budget looks at: by number at a constant rate, otherwise evenly in time."""
    if timeline.is_constant:
        return budget.indices(len(timeline.pts), timeline.fps, span)
    times = timeline.times
    start, end = (span.start, min(span.end, times[-1])) if span else (0.0, times[-1])
    within = bisect_right(times, end) - bisect_left(times, start)
    number = budget.num_frames(max(1, within), max(1, within) / max(end - start, 1 / timeline.fps))
    return [max(0, bisect_right(times, t) - 1) for t in uniform_times(start, end, number)]


def _rate(pts: tuple[int, ...], time_base: Fraction, declared: Fraction) -> float:
    """Frames a second as declared when the stamps agree within 1 %, otherwise as measured."""
    if len(pts) < 2:
        return float(declared)
    measured = (len(pts) - 1) / ((pts[-1] - pts[0]) * time_base)
    return float(declared if abs(measured / declared - 1) < 0.01 else measured)
