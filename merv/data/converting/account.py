"""What became of the rows: those that were left out, line by line in a file, and how many for which reason."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from merv.data.dataset import Source
from merv.data.ledger import BadRow
from merv.data.sample import Sample

LEFT_OUT = "left_out.jsonl"
MISSING = "missing media"
UNTOLD = "not to be told in messages"
UNREADABLE = "unreadable in the source"


class Account:
    """Counts rows and lists those left out in `left_out.jsonl`, which is there only when there are some."""

    def __init__(self, folder: Path, source: Source) -> None:
        """Take over what the dataset's own reader refused."""
        self.num_rows = 0
        self.left_out: Counter[str] = Counter()
        self.first = ""
        """The first row that was left out, with the reason."""
        self._source = source
        self._path = folder / LEFT_OUT
        for row in source.bad_rows:
            self._list(row, UNREADABLE)

    def wrote(self, num_rows: int) -> None:
        """Rows were written."""
        self.num_rows += num_rows

    def row(self, number: int) -> int:
        """Row in its file of a sample."""
        return self._source.origin(number)[1]

    def leave_out(self, number: int, sample: Sample, reason: str, kind: str) -> None:
        """A row was not written."""
        self._list(BadRow.of(self._source.origin(number), sample, reason), kind)

    def _list(self, row: BadRow, kind: str) -> None:
        self.left_out[kind] += 1
        self.first = self.first or str(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**asdict(row), "left_out_as": kind}, ensure_ascii=False) + "\n")

    def __str__(self) -> str:
        """`39 rows; left out: 1 missing media (left_out.jsonl), the first: ...`."""
        text = f"{self.num_rows} rows"
        if self.left_out:
            reasons = ", ".join(f"{count} {kind}" for kind, count in self.left_out.most_common())
            text += f"; left out: {reasons} ({LEFT_OUT}), the first: {self.first}"
        return text
