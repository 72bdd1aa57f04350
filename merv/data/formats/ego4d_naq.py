"""Reader of Ego4D-NaQ: narrations of Ego4D turned into queries.

The file is `{clip: {"num_frames", "fps", "sentences": [...], "exact_times": [[start, end], ...]}}`, times in seconds
(https://github.com/srama2512/NaQ, in the form of VSLNet).  What is left out is VideoMind's choice: a sentence said
more than once of a video, for it has no one moment, and in training sentences that ask (the list was joined with those
of NLQ) and sentences marked `#unsure`.  Windows that end where they begin, which NLQ has many of, are skipped.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import json_object
from merv.data.formats.role_rows import Reading, Skip, value_of
from merv.data.formats.video_moments import Asked, Moment, each_moment, paired, read_moments, skip_without_length
from merv.errors import SampleError

ASKING = ("who", "what", "when", "in what", "did", "where", "how", "i what")
"""Beginnings of NLQ's questions."""


def read(path: Path, videos: Path, *, dataset: str, narrations_only: bool = True) -> Reading:
    """Read the sentences of all clips.

    Args:
        path: The file.
        videos: Folder of `<clip>.mp4`.
        dataset: Name in reports.
        narrations_only: Leave out questions and what its narrator was unsure of.

    Raises:
        ConfigError: the file cannot be read.
    """
    entries = json_object(path, "sentences and exact_times by clip").items()
    moments_of = partial(_moments_of, narrations_only=narrations_only)
    return read_moments(each_moment(entries, moments_of), videos, dataset=dataset, path=path)


def _moments_of(clip: str, entry: Any, *, narrations_only: bool) -> Iterator[Moment]:
    asked = [(_tidy(text), window) for text, window in paired(entry, "sentences", "exact_times")]
    times_said, duration = Counter(text for text, _ in asked if isinstance(text, str)), _duration(entry)

    def moments_of(clip: str, one: Asked) -> Iterator[Moment]:
        text, window = one
        if isinstance(text, str):
            _skip_unwanted(text, times_said[text], narrations_only)
        skip_without_length(window)
        yield Moment(clip, text, window, duration)

    yield from each_moment(((clip, one) for one in asked), moments_of)


def _tidy(text: Any) -> Any:
    return " ".join(text.split()) if isinstance(text, str) else text


def _skip_unwanted(text: str, times_said: int, narrations_only: bool) -> None:
    if narrations_only and text.casefold().startswith(ASKING):
        raise Skip("that ask, as those of NLQ do")
    if narrations_only and "#unsure" in text:
        raise Skip("marked #unsure")
    if times_said > 1:
        raise Skip("said more than once of their video")


def _duration(entry: Any) -> float:
    """Seconds of a clip.

    Raises:
        SampleError: frames or their rate are no numbers.
    """
    frames, rate = value_of(entry, "num_frames"), value_of(entry, "fps")
    try:
        return float(frames) / float(rate)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise SampleError(f"num_frames and fps: found {frames!r} and {rate!r}; expected numbers above 0") from error
