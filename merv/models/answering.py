"""Questions about videos put to a model: paths and prompts in, texts out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from merv.data.sample import Example, Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef, Span

if TYPE_CHECKING:
    from merv.models.base import VideoLM

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

Media = str | Path | MediaRef | None


def media_ref(video: Media, start: float | None = None, end: float | None = None) -> tuple[MediaRef, ...]:
    """What a path means: a still image by its suffix, else a video, animated GIF or folder of frames.

    Args:
        video: a path, or a reference as it is; None shows nothing.
        start: second to begin at; None means the beginning.
        end: second to end at; None means the end.

    Raises:
        SampleError: there is no such file, or the seconds run backwards.
    """
    if video is None:
        return ()
    if isinstance(video, MediaRef):
        return (video,)
    path = Path(video)
    if not path.exists():
        raise SampleError(f"`{path}` does not exist; check the path")
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return (MediaRef(path, "image"),)
    if start is None and end is None:
        return (MediaRef(path),)
    first, last = start or 0.0, float("inf") if end is None else end
    if not 0 <= first <= last:
        raise SampleError(f"start {first:g} s and end {last:g} s: expected 0 <= start <= end")
    return (MediaRef(path, "video", Span(first, last)),)


def samples_of(
    video: Media | Sequence[Media], prompt: str | Sequence[str], start: float | None, end: float | None
) -> list[Sample]:
    """Pairs of video and prompt as samples; one of either goes with all of the other.

    Raises:
        ConfigError: the lists differ in length.
    """
    videos: list[Any] = list(video) if isinstance(video, list | tuple) else [video]
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    size = max(len(videos), len(prompts))
    if not size or {len(videos), len(prompts)} - {1, size}:
        raise ConfigError(f"{len(videos)} videos and {len(prompts)} prompts; give as many, or one for all")
    pairs = zip(videos * (size // len(videos)), prompts * (size // len(prompts)), strict=True)
    return [
        Sample(str(number), (Turn("user", text),), media_ref(shown, start, end))
        for number, (shown, text) in enumerate(pairs)
    ]


def answer_all(model: "VideoLM", samples: Sequence[Sample], *, batch_size: int = 8, **options: Any) -> list[str]:
    """Answers in the samples' order; each clip is decoded and encoded once for the questions of a batch about it.

    Raises:
        SampleError: a video cannot be used.
    """
    answers: list[str] = []
    for start in range(0, len(samples), batch_size):
        examples = whole(model.processor.prepare_all(samples[start : start + batch_size], answer=False))
        batch = model.processor.collate(examples, pad="left").to(device_of(model))
        answers += model.respond(batch, **options)
    return answers


def answer_in_pieces(model: "VideoLM", sample: Sample, **options: Any) -> Iterator[str]:
    """The answer to one sample, piece by piece as it comes.

    Raises:
        SampleError: its video cannot be used.
    """
    examples = whole(model.processor.prepare_all([sample], answer=False))
    batch = model.processor.collate(examples, pad="left").to(device_of(model))
    return _without_leading_space(model.stream(batch, **options))


def _without_leading_space(pieces: Iterator[str]) -> Iterator[str]:
    """The pieces that say something, from the first letter on: an answer is given without space around it."""
    begun = False
    for piece in pieces:
        piece = piece if begun else piece.lstrip()
        begun = begun or bool(piece)
        if piece:
            yield piece


def whole(prepared: Sequence[Example | SampleError]) -> list[Example]:
    """The examples, if all could be made.

    Raises:
        SampleError: the first that could not.
    """
    for example in prepared:
        if isinstance(example, SampleError):
            raise example
    return [example for example in prepared if isinstance(example, Example)]


def device_of(model: Any) -> torch.device:
    """Where a model's parameters are."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
