"""Reader of ActivityNet-RTL: questions of when, whose event has to be reasoned out.

The training list is `{"v_<id>": {"duration": seconds, "QA": [{"q", "a"}, ...]}}`; the questions people checked are
rows `{"vid": id without v_, "duration", "question", "answer", "question_id"}`.  The truth are the first two times in
the answer, written as `<12.50>` (https://github.com/NVlabs/LITA, https://huggingface.co/datasets/deahuang/LITA-Datasets).
Some answers of the training list, which a language model wrote, name no two times; these are skipped.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import described, json_object, json_rows
from merv.data.formats.role_rows import Reading, Skip, text_of, value_of
from merv.data.formats.video_moments import Moment, each_moment, read_moments
from merv.errors import SampleError

_TIMES = re.compile(r"<(\d+(?:\.\d*)?|\.\d+)>")


def read(path: Path, videos: Path, *, dataset: str) -> Reading:
    """Read the questions of the training list.

    Args:
        path: The list.
        videos: Folder of `v_<id>.mp4`.
        dataset: Name in reports.

    Raises:
        ConfigError: the file cannot be read.
    """
    entries = json_object(path, "duration and QA by video").items()
    return read_moments(each_moment(entries, _moments_of), videos, dataset=dataset, path=path)


def read_checked(path: Path, videos: Path, *, dataset: str) -> Reading:
    """Read the questions people checked; arguments as in `read`."""
    rows = ((_name(row), row) for row in json_rows(path, "vid, duration, question, answer"))
    return read_moments(each_moment(rows, _moment_of_row), videos, dataset=dataset, path=path)


def times_in(answer: str) -> tuple[float, ...]:
    """The first two times of an answer in seconds, as written; fewer where it names fewer."""
    return tuple(float(time) for time in _TIMES.findall(answer)[:2])


def _moments_of(video: str, entry: Any) -> Iterator[Moment]:
    pairs, duration = value_of(entry, "QA"), value_of(entry, "duration")
    if not isinstance(pairs, list):
        raise SampleError(f"field QA: found {described(pairs)}; expected a list")

    def moments_of(video: str, pair: Any) -> Iterator[Moment]:
        yield _moment(video, pair, "q", "a", duration)

    yield from each_moment(((video, pair) for pair in pairs), moments_of)


def _moment_of_row(name: str, row: Any) -> Iterator[Moment]:
    yield _moment(f"v_{text_of(row, 'vid')}", row, "question", "answer", value_of(row, "duration"))


def _moment(video: str, asked: Any, question: str, answer: str, duration: Any) -> Moment:
    window = times_in(text_of(asked, answer))
    if len(window) != 2:
        raise Skip("whose answer names no two times")
    return Moment(video, value_of(asked, question), window, duration)


def _name(row: Any) -> str:
    return f"v_{row.get('vid')}" if isinstance(row, dict) else ""
