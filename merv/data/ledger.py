"""The account of rows that could not be used: what they were, why, and how many a run bears before it stops."""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from merv.data.sample import Sample
from merv.errors import ConfigError, RunStopped, SampleError

log = logging.getLogger(__name__)

Policy = Literal["raise", "skip"]
MIN_ROWS = 200
"""Rows tried before anybody judges their share of bad ones."""


@dataclass(frozen=True)
class BadRow:
    """One row that cannot become an example."""

    dataset: str
    row: int
    """Number of the row in the file it came from, counted from 0."""
    id: str
    path: str
    """The media file of the row, or the annotation file when the row itself is broken; empty for neither."""
    reason: str

    @classmethod
    def of(cls, origin: tuple[str, int], sample: Sample, reason: str) -> "BadRow":
        """The row behind `sample`, with the reason on one line."""
        path = sample.media[0].where if sample.media else ""
        return cls(dataset=origin[0], row=origin[1], id=sample.id, path=path, reason=" ".join(reason.split()))

    def __str__(self) -> str:
        """One line for a message."""
        return f"{self.dataset} row {self.row} (id `{self.id}`, {self.path or 'no media'}): {self.reason}"


class BadSampleLedger:
    """Counts bad rows, writes each one once to `bad_samples.jsonl`, and stops the run when there are too many.

    Lines are appended with one write each, so that several processes of one machine may share the file.  Rows that are
    already in the file, from before a resume or from an earlier epoch, count again but are not written again.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        policy: Policy = "raise",
        max_bad_fraction: float = 0.01,
        min_rows: int = MIN_ROWS,
    ) -> None:
        """Open the account.

        Args:
            path: The file to append to; None keeps the account in memory only.
            policy: `raise` ends the run at the first bad row, `skip` goes on with the next one.
            max_bad_fraction: Share of the rows tried that may be bad, 0..1.
            min_rows: The share is judged only after this many rows.
        """
        if not 0 <= max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction is {max_bad_fraction}; it is a share of the rows, 0..1")
        self.path = path
        self.policy = policy
        self.max_bad_fraction = max_bad_fraction
        self.min_rows = min_rows
        self.num_bad = 0
        self.num_good = 0
        self._written = _written_rows(path) if path is not None else set()

    @property
    def bad_fraction(self) -> float:
        """Share of the rows tried so far that were bad."""
        return self.num_bad / max(1, self.num_bad + self.num_good)

    def good(self, num_rows: int = 1) -> None:
        """Count rows that became examples."""
        self.num_good += num_rows

    def bad(self, row: BadRow) -> None:
        """Count and write one bad row.

        Raises:
            SampleError: the policy is `raise`.
            RunStopped: more than `max_bad_fraction` of the rows are bad.
        """
        self.num_bad += 1
        self._write(row)
        if self.policy == "raise":
            raise SampleError(f"{row}; repair or drop the row, or skip bad samples")
        tried = self.num_bad + self.num_good
        if tried >= self.min_rows and self.bad_fraction > self.max_bad_fraction:
            raise RunStopped(self._too_many(self.num_bad, tried, row))

    def unreadable(self, rows: Iterable[BadRow], num_samples: int) -> None:
        """Write the rows a reader refused; they are judged against the `num_samples` it accepted.

        Raises:
            SampleError: there is one and the policy is `raise`.
            RunStopped: their share is above `max_bad_fraction`.
        """
        listed = list(rows)
        for row in listed:
            self._write(row)
        if not listed:
            return
        if self.policy == "raise":
            raise SampleError(f"{listed[0]}; repair or drop the row, or skip bad samples")
        tried = len(listed) + num_samples
        if tried >= self.min_rows and len(listed) > self.max_bad_fraction * tried:
            raise RunStopped(self._too_many(len(listed), tried, listed[-1]))

    def state_dict(self) -> dict[str, Any]:
        """The counts, for a checkpoint; the rows themselves are in the file."""
        return {"num_bad": self.num_bad, "num_good": self.num_good}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting from a checkpoint."""
        self.num_bad, self.num_good = int(state["num_bad"]), int(state["num_good"])

    def _too_many(self, bad: int, tried: int, row: BadRow) -> str:
        where = f"; all are in {self.path}" if self.path is not None else ""
        return (
            f"{bad} of {tried} rows are bad, more than max_bad_fraction {self.max_bad_fraction:g} allows; "
            f"the last one is {row}{where}"
        )

    def _write(self, row: BadRow) -> None:
        key = (row.dataset, row.row)
        if key in self._written:
            return
        self._written.add(key)
        log.warning("bad sample: %s", row)
        if self.path is None:
            return
        line = json.dumps(asdict(row), ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode("utf-8", errors="backslashreplace"))
        finally:
            os.close(handle)


def _written_rows(path: Path) -> set[tuple[str, int]]:
    """Rows an earlier process wrote; ends a line that a crash left unfinished."""
    if not path.exists():
        return set()
    found = set()
    text = path.read_text(encoding="utf-8")
    for line in text.split("\n"):  # a path may hold what splitlines takes for a line end
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # torn by a crash
            continue
        found.add((entry["dataset"], entry["row"]))
    if text and not text.endswith("\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")
    return found
