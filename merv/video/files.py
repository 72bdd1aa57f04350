"""Video files through PyAV: opening them safely, and decoding chosen frames of them.

Only the stretches between a key frame and the frames wanted after it are decoded, and in H.264 and HEVC the frames
nothing else refers to are left out unless wanted; neither changes a pixel of the others.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from merv.errors import SampleError
from merv.video.images import check_pixels, one_line
from merv.video.places import Piece, Place, check_place, opened
from merv.video.timeline import Timeline

SEEK_GAIN = 4
"""Frames a seek must skip to be worth emptying the decoder."""

CODECS_WITH_SKIPPING = frozenset({"h264", "hevc"})
"""Decoders that leave out unreferenced frames when told to."""


@contextmanager
def open_video(place: Place, threads: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and the stream a player would show.

    With several video streams it is the one FFmpeg ranks best, as in decord, torchcodec and the ffmpeg command; cover
    art is no video.

    Raises:
        SampleError: missing, empty, no video or frames too large; also when the body finds the file unreadable.
    """
    check_place(place, "video")
    try:
        with _container(place) as container:
            stream = _video_stream(container)
            if stream is None:
                kinds = sorted({str(s.type) for s in container.streams}) or ["nothing"]
                raise SampleError(f"video `{place}` has no video stream, only {', '.join(kinds)}; drop it")
            if stream.codec_context is None:
                raise SampleError(f"video `{place}` has a codec FFmpeg does not know; convert it to H.264 or drop it")
            check_pixels(place, stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.thread_count = threads
            yield container, stream
    except av.FFmpegError as error:
        raise SampleError(f"video `{place}` cannot be read: {one_line(error)}; fetch it again or drop it") from error


@contextmanager
def _container(place: Place) -> Iterator[InputContainer]:
    """What FFmpeg makes of a file or of a piece of one."""
    with ExitStack() as stack:
        if isinstance(place, Piece):  # a playlist in a shard opens nothing at all
            file = stack.enter_context(opened(place))
            yield stack.enter_context(av.open(file, mode="r", options={"protocol_whitelist": "crypto,data"}))
            return
        # The prefix keeps names with a colon from being read as URLs, the list keeps playlists from opening any.
        yield stack.enter_context(
            av.open(f"file:{place}", mode="r", options={"protocol_whitelist": "file,crypto,data"})
        )


@dataclass
class FramePicker:
    """Decodes chosen frames of one open file in ascending order."""

    place: Place
    container: InputContainer
    stream: VideoStream
    timeline: Timeline
    replaced: set[int] = field(default_factory=set)
    """Frames that did not decode and were given as the one before them."""
    num_damaged: int = 0
    """Packets that did not decode; frames that refer to them can be smeared."""

    def pick(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """(number, frame) for each number of `wanted`, which ascends without repeats; lost frames may be left out."""
        if not self.timeline.labelled:
            yield from self._by_order(wanted)
            return
        missed: list[int] = []
        for start, group in segments(self.timeline.keyframes, wanted):
            try:
                self.container.seek(self.timeline.pts[start], stream=self.stream)
            except av.FFmpegError:
                missed += group
                continue
            for number, frame in self._by_stamp(self.container, self.stream, group):
                if frame is None:
                    missed.append(number)
                else:
                    yield number, frame
        if missed:
            yield from self._from_the_start(missed)

    def _from_the_start(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Where seeking failed or went past its target, decode everything before it."""
        with open_video(self.place, self._threads) as (container, stream):
            for number, frame in self._by_stamp(container, stream, wanted):
                if frame is not None:
                    yield number, frame

    @property
    def _threads(self) -> int:
        return self.stream.codec_context.thread_count

    def _by_stamp(
        self, container: InputContainer, stream: VideoStream, wanted: Sequence[int]
    ) -> Iterator[tuple[int, VideoFrame | None]]:
        """The frame on screen at each wanted stamp; None when decoding began after it."""
        pending, shown = deque(wanted), None
        stamps = {self.timeline.pts[number] for number in wanted}
        for frame in self._frames(container, stream, stamps):
            if frame.pts is None:
                continue
            while pending and frame.pts > self.timeline.pts[pending[0]]:
                yield self._stand_in(pending.popleft(), shown)
            if pending and frame.pts == self.timeline.pts[pending[0]]:
                yield pending.popleft(), frame
            if not pending:
                return
            shown = frame
        for number in pending:
            yield self._stand_in(number, shown)

    def _by_order(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """The n-th frame that comes out of the decoder, for streams without usable stamps."""
        pending, shown = deque(wanted), None
        with open_video(self.place, self._threads) as (container, stream):
            for number, frame in enumerate(self._frames(container, stream, stamps=None)):
                shown = frame
                if number == pending[0]:
                    yield pending.popleft(), frame
                if not pending:
                    return
        for number in pending:
            _, stand_in = self._stand_in(number, shown)
            if stand_in is not None:
                yield number, stand_in

    def _frames(self, container: InputContainer, stream: VideoStream, stamps: set[int] | None) -> Iterator[VideoFrame]:
        """Decoded frames in the order they are shown, over damaged packets; given `stamps`, others may be left out."""
        context = stream.codec_context
        skipping = stamps is not None and context.name in CODECS_WITH_SKIPPING
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is not None:
                    continue
                if skipping and stamps is not None:
                    context.skip_frame = "DEFAULT" if packet.pts in stamps else "NONREF"
                try:
                    yield from packet.decode()
                except av.InvalidDataError:
                    self.num_damaged += 1
        except av.FFmpegError:
            return  # the file ends here; who asked sees which frames are missing

    def _stand_in(self, number: int, shown: VideoFrame | None) -> tuple[int, VideoFrame | None]:
        if shown is not None:
            self.replaced.add(number)
        return number, shown


def segments(keyframes: Sequence[int], wanted: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Split wanted frame numbers into runs to decode, each with the key frame to start from."""
    runs: list[tuple[int, list[int]]] = []
    key = 0
    for number in wanted:
        while key + 1 < len(keyframes) and keyframes[key + 1] <= number:
            key += 1
        if not runs or keyframes[key] - runs[-1][1][-1] > SEEK_GAIN:
            runs.append((keyframes[key], []))
        runs[-1][1].append(number)
    return runs


def _video_stream(container: InputContainer) -> VideoStream | None:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((s for s in streams if best is not None and s.index == best.index), streams[0] if streams else None)
