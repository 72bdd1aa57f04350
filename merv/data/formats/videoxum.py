"""Reader of VideoXum: ActivityNet's sentences, and the part of each that ten people kept for a summary.

A row is `{"video_id": "v_<id>", "duration": seconds, "tsum": [sentence, ...], "vsum": [[[start, end], ... ten], ...]}`
beside fields that are not read (https://github.com/jylins/videoxum, {train,val,test}_videoxum.json).  A sentence's
window is the mean of the ten starts and of the ten ends to a hundredth of a second, as VideoMind has it.  VideoMind
takes the last sentence of every video twice; here it is taken once.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.role_rows import Reading, value_of
from merv.data.formats.video_moments import Moment, each_moment, paired, read_moments
from merv.data.role_samples import pair_of_seconds
from merv.errors import SampleError


def read(path: Path, videos: Path, *, dataset: str) -> Reading:
    """Read the sentences of all videos.

    Args:
        path: The list.
        videos: Folder of `<video_id>.mp4`.
        dataset: Name in reports.

    Raises:
        ConfigError: the file cannot be read.
    """
    rows = json_rows(path, "video_id, duration, tsum, vsum")
    entries = ((str(row.get("video_id")) if isinstance(row, dict) else "", row) for row in rows)
    return read_moments(each_moment(entries, _moments_of), videos, dataset=dataset, path=path)


def mean_window(windows: Any) -> tuple[float, float]:
    """The mean of what the annotators kept.

    Raises:
        SampleError: there are none, or one is no pair of seconds.
    """
    if not isinstance(windows, list) or not windows:
        raise SampleError(f"field vsum: found {described(windows)}; expected the windows of the annotators")
    starts, ends = zip(*(pair_of_seconds(window, "field vsum") for window in windows), strict=True)
    return round(fmean(starts), 2), round(fmean(ends), 2)


def _moments_of(video: str, row: Any) -> Iterator[Moment]:
    duration = value_of(row, "duration")

    def moments_of(video: str, kept: tuple[Any, Any]) -> Iterator[Moment]:
        yield Moment(video, kept[0], mean_window(kept[1]), duration)

    yield from each_moment(((video, kept) for kept in paired(row, "tsum", "vsum")), moments_of)
