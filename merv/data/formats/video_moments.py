"""Moments that a file lists by video: each becomes a row of its own, so that a bad one costs no other.

What the readers of ActivityNet Captions, ActivityNet-RTL, Charades-STA, Ego4D, VideoXum and YouCook2 share.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from merv.data.formats.json_rows import described
from merv.data.formats.role_rows import Reading, Skip, listing, read_each, text_of, value_of, video_in
from merv.data.role_samples import moment_row
from merv.data.sample import Sample
from merv.errors import SampleError

WITHOUT_LENGTH = "with a span without length"
"""Reason of rows skipped by `skip_without_length`."""
Asked = tuple[Any, Any]
"""A query and its window, unchecked."""


class Moment(NamedTuple):
    """One query of a video, unchecked."""

    video: str
    """Name without suffix."""
    query: Any = None
    window: Any = None
    """Start and end in seconds."""
    duration: Any = None
    """Seconds of the video."""
    problem: Exception | None = None
    """Skip or SampleError where the file holds no moment here; None for one that may be used."""


def each_moment(entries: Iterable[tuple[str, Any]], moments_of: Callable[[str, Any], Iterable[Moment]]) -> Iterator:
    """The moments of all videos; a video whose entry cannot be read is one row with the problem.

    Args:
        entries: Video and what the file says about it.
        moments_of: The moments of one video; raises SampleError or Skip.
    """
    for video, entry in entries:
        try:
            yield from moments_of(video, entry)
        except (SampleError, Skip) as problem:
            yield Moment(video, problem=problem.with_traceback(None))


def read_moments(
    moments: Iterable[Moment], videos: Path, *, dataset: str, path: Path, only_present: bool = False
) -> Reading:
    """Turn moments into samples; rows are counted over all videos.

    Args:
        moments: As `each_moment` gives them.
        videos: Folder of `<video>.mp4`.
        dataset: Name in reports.
        path: The file, for reports.
        only_present: Skip moments whose video is not in the folder: for lists of videos that are gone from the web.

    Raises:
        ConfigError: the folder is missing and was to be looked at.
    """
    present = listing(videos) if only_present else None

    def samples_of(number: int, moment: Moment) -> Iterator[Sample]:
        if isinstance(moment.problem, Skip):
            raise moment.problem
        file = f"{moment.video}.mp4"
        if present is not None and file not in present:
            raise Skip("without a video in the folder")
        try:
            yield _sample(f"{dataset}-{number}", moment, videos, file)
        except SampleError as error:
            raise SampleError(f"video `{moment.video}`: {error}") from error

    return read_each(moments, samples_of, dataset=dataset, path=path)


def _sample(name: str, moment: Moment, videos: Path, file: str) -> Sample:
    if moment.problem is not None:
        raise moment.problem
    query = text_of({"query": moment.query}, "query")
    return moment_row(name, query, [moment.window], moment.duration, video_in(videos, file))


def paired(entry: Any, texts: str, times: str) -> list[Asked]:
    """What an entry holds as two lists of one length: texts, and something about the time of each.

    Raises:
        SampleError: the entry is no object, a list is missing, or they are not as many.
    """
    lists = [value_of(entry, name) for name in (texts, times)]
    for name, found in zip((texts, times), lists, strict=True):
        if not isinstance(found, list):
            raise SampleError(f"field {name}: found {described(found)}; expected a list")
    if len(lists[0]) != len(lists[1]):
        counts = f"{len(lists[0])} and {len(lists[1])}"
        raise SampleError(f"{texts} and {times} are not lists of one length: found {counts}")
    return list(zip(*lists, strict=True))


def by_neighbours(asked: Sequence[Asked], within_s: float = inf) -> Iterator[tuple[Any, Any, Skip | None]]:
    """Each two moments in a row ask for one another: the moment before the later one, the moment after the earlier.

    Args:
        asked: Queries and windows of one video in their order.
        within_s: Two that are so many seconds apart, or more, are no neighbours; they come with a Skip.
    """
    for (earlier, first), (later, second) in pairwise(asked):
        apart = _gap(first, second) >= within_s
        skip = Skip(f"whose neighbour is {within_s:g} s away or more") if apart else None
        yield f"The moment before {later}", first, skip
        yield f"The moment after {earlier}", second, skip


def _gap(first: Any, second: Any) -> float:
    """Seconds from the end of one window to the start of the next; 0 where they are no windows, told later."""
    try:
        return float(second[0]) - float(first[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return 0.0


def skip_without_length(window: Any) -> None:
    """Leave out a window that ends where it begins, of files known to hold many.

    Raises:
        Skip: it does.
    """
    if isinstance(window, list | tuple) and len(window) == 2 and window[0] == window[1] is not None:
        raise Skip(WITHOUT_LENGTH)
