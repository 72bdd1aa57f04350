"""What the readers of role datasets share: the account of a file's rows, checked fields, and where videos stand.

A row ends as samples, as a bad row, or as skipped.  Bad is a row that should have been usable; bad rows are listed
one by one and too many stop a run.  Skipped is a row that the file itself, or the publisher's own reader of it, says
is not meant for this use, such as a span without length in QuerYD or `"clip": false` in HiREST; of these the genuine
files have tens of thousands, and they are counted by reason.
"""

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import described, json_object
from merv.data.formats.lazy_samples import HeldSamples, LazySamples, SamplesOf
from merv.data.formats.row_file import RowFile
from merv.data.ledger import BadRow
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef

NAMES = ("qid", "question_id", "sample_id", "id", "annotation_id", "vid", "video_uid", "video", "video_path")
"""Fields of which the first present one names a row in reports."""


class Skip(Exception):  # noqa: N818 - it says what to do
    """A row that is not meant for this use; the message is the reason it is counted under."""


@dataclass
class Reading:
    """The rows of a dataset's files: what can be used, where it stood, what cannot, and what was not meant to."""

    samples: Sequence[Sample] = field(default_factory=list)
    rows: Sequence[int] = field(default_factory=list)
    """Row number in the file of each sample; one row may give several."""
    bad_rows: list[BadRow] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Rows that were not meant for this use, by reason."""
    num_rows: int = 0
    num_cut: array = field(default_factory=lambda: array("I"))
    """Windows of each sample that reached over an end of their video and were cut there."""
    seconds: array = field(default_factory=lambda: array("d"))
    """Duration of each sample's video; nan where it is not known."""
    num_words: array = field(default_factory=lambda: array("I"))
    """Words of each sample's query or question."""

    def note(self, sample: Sample) -> None:
        """Keep of a sample what limits ask."""
        asked = str(sample.meta.get("query") or sample.meta.get("question") or _first_question(sample))
        self.num_words.append(len(asked.split()))
        seconds = sample.meta.get("duration")
        self.seconds.append(float(seconds) if isinstance(seconds, int | float) else nan)
        self.num_cut.append(sample.meta.get("cut_windows", 0))


def _first_question(sample: Sample) -> str:
    return next((turn.text for turn in sample.turns if turn.role == "user"), "")


def read_each(rows: Iterable[Any], samples_of: SamplesOf, *, dataset: str, path: Path) -> Reading:
    """Turn rows into samples, keeping account of those that fail.

    Of a file read by `json_rows` no sample is kept: it is made again when it is needed, so that memory does not grow
    with the length of conversations.  Rows from elsewhere give samples that are held.

    Args:
        rows: Parsed rows; an error in the place of a row is a line that is not JSON.
        samples_of: Row number and row to samples, always the same ones; raises SampleError for a bad row and Skip for
            one to leave out.
        dataset: Name in reports.
        path: The file, for reports.
    """
    reading = Reading()
    kept = LazySamples(rows, samples_of) if isinstance(rows, RowFile) else HeldSamples()
    for number, row in enumerate(rows):
        reading.num_rows += 1
        try:
            if isinstance(row, json.JSONDecodeError):
                raise SampleError(f"not JSON: {row.msg.removesuffix(' at')} at column {row.colno}")
            found = list(samples_of(number, row))
            _check_letters(found)
        except Skip as skip:
            reading.skipped[str(skip)] += 1
        except (SampleError, OverflowError) as error:
            reason = f"a number is too large: {error}" if isinstance(error, OverflowError) else str(error)
            reason_line = " ".join(reason.split())
            reading.bad_rows.append(BadRow(dataset, number, _name(row, number), str(path), reason_line))
        else:
            for sample in found:
                reading.note(sample)
            kept.add(number, found)
    reading.samples, reading.rows = kept, kept.numbers
    return reading


def _check_letters(samples: Sequence[Sample]) -> None:
    """Refuse text that holds half a surrogate pair, which JSON can spell and no tokenizer takes.

    Raises:
        SampleError: some does.
    """
    for text in (turn.text for sample in samples for turn in sample.turns if not turn.text.isascii()):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise SampleError(f"the text holds {text[error.start]!a}, half a character; take it out") from error


def joined(readings: Sequence[Reading]) -> Reading:
    """Readings of several files as one, with their samples held; row numbers stay those of their file."""
    whole, samples, rows = Reading(), HeldSamples(), array("I")
    for reading in readings:
        samples.extend(reading.samples)
        rows.extend(reading.rows)
        whole.bad_rows += reading.bad_rows
        whole.skipped += reading.skipped
        whole.num_rows += reading.num_rows
        whole.num_cut.extend(reading.num_cut)
        whole.seconds.extend(reading.seconds)
        whole.num_words.extend(reading.num_words)
    whole.samples, whole.rows = samples, rows
    return whole


def text_of(row: Any, *names: str) -> str:
    """The first of these fields that the row has, which must be text or a whole number.

    Raises:
        SampleError: the row has none of them, or it holds something else.
    """
    value = value_of(row, *names)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise SampleError(f"field {names[0]}: found {described(value)}; expected text")
    return str(value)


def value_of(row: Any, *names: str) -> Any:
    """The first of these fields that the row has; None when it has none.

    Raises:
        SampleError: the row is no object.
    """
    if not isinstance(row, dict):
        raise SampleError(f"found {described(row)}; expected an object")
    return next((row[name] for name in names if row.get(name) is not None), None)


def video_in(folder: Path, name: str) -> MediaRef:
    """The video `name` below `folder`; it is not opened.

    Raises:
        SampleError: the name leads out of the folder.
    """
    if "\0" in name or os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == "..":
        raise SampleError(f"video {name!r} leads out of {folder}")
    return MediaRef(folder / name)


def published_video(root: Path, path: str) -> MediaRef:
    """The video of a row that names it as `data/<dataset>/...`, with `root` in the place of `data`.

    Raises:
        SampleError: the path leads out of `root`.
    """
    return video_in(root, os.path.normpath(path).removeprefix(f"data{os.sep}"))


def listing(folder: Path) -> frozenset[str]:
    """Names in a folder, for lists that name more videos than their publishers could get.

    Raises:
        ConfigError: the folder is missing.
    """
    try:
        return frozenset(os.listdir(folder))
    except OSError as error:
        raise ConfigError(f"video folder {folder} cannot be listed: {error.strerror}; download the videos") from error


def read_durations(path: Path) -> dict[str, Any]:
    """Seconds by video, unchecked: a row is bad only when its own duration is.

    Raises:
        ConfigError: the file is missing or no JSON object.
    """
    return json_object(path, "seconds by video")


def duration_in(durations: dict[str, Any], video: str, path: Path) -> float:
    """Seconds of one video.

    Raises:
        SampleError: the list does not have it.
    """
    if video not in durations:
        raise SampleError(f"no duration of video `{video}` in {path.name}")
    return durations[video]


def _name(row: Any, number: int) -> str:
    if not isinstance(row, dict):
        return str(number)
    return str(next((row[name] for name in NAMES if name in row), number))
