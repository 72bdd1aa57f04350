"""Reader of ActivityNet Captions: sentences on a video of minutes, each with its window.

The file is `{"v_<id>": {"duration": seconds, "timestamps": [[start, end], ...], "sentences": [...]}}`
(https://cs.stanford.edu/people/ranjaykrishna/densevid/).  val_1 and val_2 hold different sentences on the same videos.
A few hundred windows end after their video and are cut there; four of the training list have no length or run
backwards and are bad rows.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from merv.data.formats.json_rows import json_object
from merv.data.formats.role_rows import Reading, read_durations, value_of
from merv.data.formats.video_moments import Asked, Moment, by_neighbours, each_moment, paired, read_moments

AskedBy = Literal["sentences", "neighbours"]
"""Ask for a moment by its sentence, or by that of the moment before or after it, VideoMind's `bias` variants."""
NEIGHBOURS_S = 3.0
"""Moments so many seconds apart, or more, are no neighbours to VideoMind."""


def read(
    path: Path, videos: Path, *, dataset: str, durations: Path | None = None, asked_by: AskedBy = "sentences"
) -> Reading:
    """Read the sentences of all videos.

    Args:
        path: The file.
        videos: Folder of `v_<id>.mp4`.
        dataset: Name in reports.
        durations: JSON of measured seconds by video, which go before those of the file; None for none.
        asked_by: How a moment is asked for.

    Raises:
        ConfigError: a file cannot be read.
    """
    measured = {} if durations is None else read_durations(durations)

    def moments_of(video: str, entry: Any) -> Iterator[Moment]:
        asked, duration = paired(entry, "sentences", "timestamps"), measured.get(video, value_of(entry, "duration"))
        yield from moments_asked(video, asked, duration, asked_by)

    entries = json_object(path, "duration, timestamps and sentences by video").items()
    return read_moments(each_moment(entries, moments_of), videos, dataset=dataset, path=path)


def moments_asked(video: str, asked: list[Asked], duration: Any, asked_by: AskedBy) -> Iterator[Moment]:
    """The moments of one video, by their sentences or by those of their neighbours."""
    if asked_by == "sentences":
        yield from (Moment(video, query, window, duration) for query, window in asked)
    else:
        for query, window, skip in by_neighbours(asked, NEIGHBOURS_S):
            yield Moment(video, query, window, duration, skip)
