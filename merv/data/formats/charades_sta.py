"""Reader of Charades-STA: a sentence and its seconds a line.

A line is `VIDEO start end##sentence` (https://github.com/jiyanggao/TALL); the lists say nothing of the length of
videos, which stands in VideoMind's durations.json or in the column `length` of Charades' own CSV
(https://prior.allenai.org/projects/charades).  Every seventh sentence ends after its video and is cut there; four of
the training list run backwards and are bad rows.
"""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from merv.data.formats.csv_rows import csv_rows
from merv.data.formats.role_rows import Reading, duration_in, read_durations
from merv.data.formats.text_lines import text_lines
from merv.data.formats.video_moments import Moment, each_moment, read_moments
from merv.errors import SampleError


class Line(NamedTuple):
    """What a line says."""

    video: str
    window: tuple[float, float]
    """Seconds, as written: they may run backwards."""
    sentence: str


def read(path: Path, durations: Path, videos: Path, *, dataset: str) -> Reading:
    """Read all lines.

    Args:
        path: The list.
        durations: JSON of seconds by video, or Charades' CSV.
        videos: Folder of `<VIDEO>.mp4`.
        dataset: Name in reports.

    Raises:
        ConfigError: a file cannot be read.
    """
    seconds = read_lengths(durations) if durations.suffix == ".csv" else read_durations(durations)

    def moments_of(name: str, line: str) -> Iterator[Moment]:
        found = parse_line(line)
        duration = duration_in(seconds, found.video, durations)
        yield Moment(found.video, found.sentence, found.window, duration)

    entries = ((line.split(maxsplit=1)[0], line) for line in text_lines(path))
    return read_moments(each_moment(entries, moments_of), videos, dataset=dataset, path=path)


def parse_line(line: str) -> Line:
    """The parts of a line.

    Raises:
        SampleError: it has another shape.
    """
    times, mark, sentence = line.partition("##")
    video, *ends = times.split() or [""]
    seconds = tuple(_number(end) for end in ends)
    if not mark or len(seconds) != 2 or not all(isinstance(end, float) and isfinite(end) for end in seconds):
        raise SampleError(f"found {line!r}; expected `VIDEO start end##sentence`, start and end in seconds")
    return Line(video, seconds, sentence.strip())


def read_lengths(path: Path) -> dict[str, Any]:
    """Seconds by video of Charades' CSV; text where a length is no number, for the row's own check to tell.

    Raises:
        ConfigError: the file cannot be read, or lacks its columns.
    """
    rows = csv_rows(path, ("id", "length"))
    return {row["id"]: _number(row["length"]) for row in rows}


def _number(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
