"""Reader of DiDeMo: moments that several people marked on a grid of five seconds.

A row is `{"annotation_id", "description", "video": name with any suffix or none, "times": [[first, last], ...]}`;
`times` holds one pair of segment numbers an annotator, both inclusive, so that [a, b] is 5a to 5(b + 1) seconds
(https://github.com/LisaAnne/LocalizingMoments, data/*_data.json).  Durations stand in a file of VideoMind's, by
video name without suffix, and its videos are all `.mp4`.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.role_rows import (
    Reading,
    duration_in,
    read_durations,
    read_each,
    text_of,
    value_of,
    video_in,
)
from merv.data.role_samples import Window, moment_row
from merv.data.sample import Sample
from merv.errors import SampleError

SEGMENT_S = 5
"""Seconds of one place on the grid."""


def read(path: Path, durations: Path, videos: Path, *, dataset: str, shift_s: int = 0, seed: int = 7) -> Reading:
    """Read moments: the mean of what the annotators marked, in whole seconds, as VideoMind has it.

    Args:
        path: The list.
        durations: JSON of seconds by video name without suffix.
        videos: Folder of `<name>.mp4`.
        dataset: Name in reports.
        shift_s: Move each moment by up to so many whole seconds, so that not all begin on the grid; 0 for none.
        seed: Decides how far each row is moved; the same in every epoch and run.

    Raises:
        ConfigError: a file cannot be read.
    """
    seconds = read_durations(durations)

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        video = text_of(row, "video").partition(".")[0]
        duration = duration_in(seconds, video, durations)
        start, end = mean_window(value_of(row, "times"))
        shift = random.Random(f"{seed} {number}").randint(-shift_s, shift_s)
        name = f"{dataset}-{value_of(row, 'annotation_id') or number}"
        query, media = text_of(row, "description"), video_in(videos, f"{video}.mp4")
        yield moment_row(name, query, [(start + shift, end + shift)], duration, media)

    rows = json_rows(path, "annotation_id, description, video, times")
    return read_each(rows, samples_of, dataset=dataset, path=path)


def mean_window(times: Any) -> Window:
    """Whole seconds of the mean of inclusive segment numbers, ties to the even second.

    Raises:
        SampleError: these are no pairs of numbers.
    """
    try:
        first, last = fmean(int(a) for a, _ in times), fmean(int(b) for _, b in times)
    except (TypeError, ValueError) as error:  # fmean refuses an empty list so, too
        raise SampleError(f"field times: found {described(times)}; expected pairs of segment numbers") from error
    return round(first * SEGMENT_S), round((last + 1) * SEGMENT_S)
