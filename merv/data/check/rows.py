"""What a pass over a dataset's rows finds out without opening any medium."""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from merv.data.dataset import Source
from merv.data.datasets import Mixture
from merv.data.sample import Sample
from merv.video.media import MediaRef
from merv.video.places import is_present

_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\b\d+(?:\.\d+)?\b|(?<=found )\S.*?(?=;|$)")
"""Parts of a reason that differ from row to row."""


@dataclass
class FolderCount:
    """Media of one folder."""

    num_media: int = 0
    num_missing: int = 0


@dataclass
class RowsReport:
    """One dataset's rows."""

    name: str
    num_usable: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    """Rows that should have been usable, by kind of reason."""
    first_bad: dict[str, str] = field(default_factory=dict)
    """The first row of each kind of reason, as the ledger would tell it."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Rows that are not meant for this use, by reason."""
    num_cut: int = 0
    """Windows cut to their videos."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Rows by task, or by what they show."""
    num_complete: int = 0
    """Rows whose media are all there."""
    folders: dict[str, FolderCount] = field(default_factory=dict)
    """Different media by folder."""
    missing: list[str] = field(default_factory=list)
    """Media that are not there."""
    durations: array = field(default_factory=lambda: array("f"))
    """Seconds of each row's video, where the row says."""
    spans: array = field(default_factory=lambda: array("f"))
    """Seconds of each window and of each stretch that is shown."""
    num_repeated_ids: int = 0
    """Rows whose id another row before them has."""
    first_repeated_id: str = ""

    @property
    def num_rows(self) -> int:
        """Samples, bad rows and rows left out."""
        return self.num_usable + self.bad.total() + self.left_out.total()

    @property
    def num_missing(self) -> int:
        """Different media that are not there."""
        return len(self.missing)


def members(source: Source) -> Iterator[Source]:
    """The datasets a source is mixed of, each as a whole; itself when it is one."""
    if isinstance(source, Mixture):
        for each in source.sources:
            yield from members(each)
    else:
        yield source


def check_rows(source: Source) -> RowsReport:
    """Look at every row once, and once for each medium whether it is there; nothing is opened."""
    report = RowsReport(source.name, num_cut=source.num_cut, left_out=Counter(source.left_out))
    for row in source.bad_rows:
        kind = kind_of(row.reason)
        report.bad[kind] += 1
        report.first_bad.setdefault(kind, str(row))
    ids, present = _Seen(), _Presence(report)
    for sample in source:
        report.num_usable += 1
        report.kinds[str(sample.meta.get("task") or _shows(sample))] += 1
        report.num_complete += all([present.check(ref) for ref in sample.media])
        _note_times(report, sample)
        if ids.add(sample.id):
            report.num_repeated_ids += 1
            report.first_repeated_id = report.first_repeated_id or sample.id
    return report


def kind_of(reason: str) -> str:
    """A reason without what differs from row to row."""
    return " ".join(_VALUE.sub("…", reason).split())[:120]


def _shows(sample: Sample) -> str:
    kinds = sorted({ref.kind for ref in sample.media})
    return " and ".join(kinds) if kinds else "text"


def _note_times(report: RowsReport, sample: Sample) -> None:
    duration = sample.meta.get("duration")
    if isinstance(duration, int | float):
        report.durations.append(duration)
    windows: Any = sample.meta.get("windows") or ([] if sample.span is None else [sample.span])
    for window in [*windows, *(ref.span for ref in sample.media if ref.span is not None)]:
        start, end = window if isinstance(window, tuple | list) else (window.start, window.end)
        report.spans.append(end - start)


class _Seen:
    """Which texts have been met, 8 bytes each: two of a thousand million share them with a chance of three percent."""

    def __init__(self) -> None:
        self._met: set[int] = set()

    def add(self, text: str) -> bool:
        """Note a text; whether it was met before."""
        key = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
        before = len(self._met)
        self._met.add(key)
        return len(self._met) == before


class _Presence:
    """Asks once for each medium whether it is there."""

    def __init__(self, report: RowsReport) -> None:
        self._report = report
        self._known: dict[int, bool] = {}

    def check(self, ref: MediaRef) -> bool:
        key = hash(ref.where)
        if key not in self._known:
            self._known[key] = is_present(ref)
            folder = self._report.folders.setdefault(str(folder_of(ref)), FolderCount())
            folder.num_media += 1
            if not self._known[key]:
                folder.num_missing += 1
                self._report.missing.append(ref.where)
        return self._known[key]


def folder_of(ref: MediaRef) -> Path:
    """The folder a medium is counted under: of a file the one it lies in, of a part of a larger file that file."""
    return ref.path if ref.within is not None else ref.path.parent


def percentiles(values: array) -> dict[str, float]:
    """Least, quarters, most and mean of seconds; empty for none."""
    if not values:
        return {}
    found = np.percentile(np.frombuffer(values, dtype=np.float32), [0, 25, 50, 75, 100])
    named = dict(zip(("least", "quarter", "median", "three_quarters", "most"), found.tolist(), strict=True))
    return {name: round(value, 2) for name, value in named.items()} | {"mean": round(sum(values) / len(values), 2)}
