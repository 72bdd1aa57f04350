"""What was found in a dataset, as lines to read and as values to keep."""

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from merv.data.check.media import Tried
from merv.data.check.rows import RowsReport, percentiles

MOST = 8
"""Reasons or folders told of each kind; the report on the disk has all of them."""


@dataclass
class DatasetReport:
    """The rows of one dataset, and the media that were tried."""

    rows: RowsReport
    num_tried: int = 0
    problems: list[Tried] = field(default_factory=list)
    """Media that do not decode."""
    notes: list[Tried] = field(default_factory=list)
    """Media that decode with something to be said."""
    decoded_seconds: array = field(default_factory=lambda: array("f"))
    """Duration of each video that decodes."""

    @property
    def seconds(self) -> array:
        """Seconds of the rows' videos, or of those tried where the rows do not say."""
        return self.rows.durations or self.decoded_seconds

    def add(self, tried: Tried) -> None:
        """Count one medium more."""
        self.num_tried += 1
        if tried.seconds and not tried.problem:
            self.decoded_seconds.append(tried.seconds)
        if tried.problem:
            self.problems.append(tried)
        elif tried.note:
            self.notes.append(tried)

    @property
    def bad_fraction(self) -> float:
        """Share of the rows that a run would find bad, as far as the media tried can tell."""
        rows = self.rows
        meant = rows.num_usable + rows.bad.total()
        broken = rows.bad.total() + rows.num_usable - rows.num_complete
        undecodable = len(self.problems) / self.num_tried if self.num_tried else 0.0
        return min(1.0, (broken + undecodable * rows.num_complete) / max(1, meant))

    def values(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        rows = self.rows
        return {
            "dataset": rows.name,
            "rows": rows.num_rows,
            "usable": rows.num_usable,
            "bad": dict(rows.bad.most_common()),
            "left_out": dict(rows.left_out.most_common()),
            "kinds": dict(rows.kinds.most_common()),
            "windows_cut": rows.num_cut,
            "repeated_ids": rows.num_repeated_ids,
            "rows_with_all_media": rows.num_complete,
            "media": {
                folder: {"different": count.num_media, "missing": count.num_missing}
                for folder, count in sorted(rows.folders.items())
            },
            "tried": self.num_tried,
            "undecodable": {tried.where: tried.problem for tried in self.problems},
            "noted": {tried.where: tried.note for tried in self.notes},
            "seconds_of_videos": percentiles(self.seconds),
            "seconds_of_spans": percentiles(rows.spans),
            "bad_fraction": round(self.bad_fraction, 6),
        }

    def lines(self) -> list[str]:
        """What a reader has to know, most of it in one line each."""
        return [*_row_lines(self.rows), *_media_lines(self), *_time_lines(self)]


def _row_lines(rows: RowsReport) -> list[str]:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in rows.kinds.most_common())
    lines = [f"{rows.name}: {rows.num_rows:,} row{'s' * (rows.num_rows != 1)}, {rows.num_usable:,} usable ({kinds})"]
    lines += [f"  bad: {count:,} x {rows.first_bad[kind]}" for kind, count in rows.bad.most_common(MOST)]
    lines += _rest(rows.bad, "kinds of bad rows")
    lines += [f"  left out: {count:,} {reason}" for reason, count in rows.left_out.most_common(MOST)]
    lines += _rest(rows.left_out, "reasons")
    if rows.num_cut:
        lines.append(f"  windows that reach over an end of their video, cut there: {rows.num_cut:,}")
    if rows.num_repeated_ids:
        lines.append(f"  rows with the id of another: {rows.num_repeated_ids:,}, the first `{rows.first_repeated_id}`")
    return lines


def _media_lines(report: DatasetReport) -> list[str]:
    rows = report.rows
    if not rows.folders:
        return ["  no row shows anything"]
    num_media = sum(count.num_media for count in rows.folders.values())
    share = 100 * rows.num_complete / max(1, rows.num_usable)
    lines = [
        f"  media: {num_media - rows.num_missing:,} of {num_media:,} are there; "
        f"{rows.num_complete:,} of {rows.num_usable:,} rows ({share:.1f} %) have all of theirs"
    ]
    lacking = Counter({name: count.num_missing for name, count in rows.folders.items() if count.num_missing})
    lines += [
        f"    {count:,} of {rows.folders[name].num_media:,} missing in {name}"
        for name, count in lacking.most_common(MOST)
    ]
    lines += _rest(lacking, "folders with missing media", "  ")
    if report.num_tried:
        lines.append(f"  decoded: {report.num_tried:,} tried, {len(report.problems):,} cannot be used")
    broken = Counter(tried.folder for tried in report.problems)
    lines += [f"    {count:,} broken in {folder}" for folder, count in broken.most_common(MOST)]
    lines += [f"    {tried.where}: {tried.problem}" for tried in report.problems[:MOST]]
    lines += [f"    note: {tried.where}: {tried.note}" for tried in report.notes[:MOST]]
    return lines


def _time_lines(report: DatasetReport) -> list[str]:
    lines, rows = [], report.rows
    videos = "videos" if rows.durations else f"{len(report.decoded_seconds):,} videos that were decoded"
    for name, values in ((videos, report.seconds), ("moments", rows.spans)):
        if found := percentiles(values):
            lines.append(
                f"  seconds of {name}: {found['least']:g} to {found['most']:g}, half of them between "
                f"{found['quarter']:g} and {found['three_quarters']:g}, median {found['median']:g}"
            )
    return lines


def _rest(counts: Mapping[str, int], what: str, indent: str = "") -> list[str]:
    return [f"{indent}  and {len(counts) - MOST} more {what}, see the report"] if len(counts) > MOST else []


def coverage(reports: Sequence[DatasetReport]) -> list[dict[str, Any]]:
    """A row a dataset, for a table: rows, usable, with all media."""
    return [
        {
            "dataset": report.rows.name,
            "rows": report.rows.num_rows,
            "usable": report.rows.num_usable,
            "bad": report.rows.bad.total(),
            "left out": report.rows.left_out.total(),
            "with media": report.rows.num_complete,
            "coverage": report.rows.num_complete / max(1, report.rows.num_usable),
        }
        for report in reports
    ]
