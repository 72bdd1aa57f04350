"""The answers of one evaluation on disk: appended as they come, read again after a stop, joined at the end."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from merv.data.sample import Sample
from merv.errors import ConfigError, RunStopped
from merv.evaluation.task import Item, Parsed, Task
from merv.models.reply import Reply
from merv.runtime import rank, world_size
from merv.space import write

PREDICTIONS = "predictions.jsonl"
PATIENCE_S = 3600.0
"""Seconds without a new answer from another process after which it is given up."""
POLL_S = 0.5

MORE = ("spans", "score", "record")
"""What a row holds where a reply has more than a text."""

Row = dict[str, Any]


class Answers:
    """The answers in a folder, those of other processes and of an earlier start included."""

    def __init__(self, folder: Path, task: Task, samples: Sequence[Sample], run: str, *, resume: bool) -> None:
        """Open the folder, ending a line that a crash left unfinished.

        Args:
            folder: Where the files are.
            task: What judges the answers.
            samples: The items.
            run: Hash of what decides the answers; rows that carry another one belong to another evaluation.
            resume: Accept answers that are there.

        Raises:
            ConfigError: there are answers and `resume` is false.
        """
        self.folder, self.task, self.samples, self.run = folder, task, samples, run
        folder.mkdir(parents=True, exist_ok=True)
        held = [path for path in (self.path, folder / PREDICTIONS) if path.is_file() and path.stat().st_size]
        if held and not resume:
            raise ConfigError(f"{held[0]} holds answers; resume it, delete it or name another folder")
        if self.path in held and not self.path.read_bytes().endswith(b"\n"):
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")

    @property
    def path(self) -> Path:
        """The file this process appends to."""
        return self.folder / (PREDICTIONS if world_size() == 1 else f"predictions-rank{rank()}.jsonl")

    def read(self) -> dict[int, Row]:
        """The rows there are, by index.

        Raises:
            ConfigError: there are some of another evaluation.
        """
        rows: dict[int, Row] = {}
        for path in (*sorted(self.folder.glob("predictions-rank*.jsonl")), self.folder / PREDICTIONS):
            for row in _rows(path):
                if row["evaluation"] != self.run:
                    raise ConfigError(
                        f"{path} holds answers of another model, task, prompt or media; delete it or name another "
                        "folder"
                    )
                rows[row["index"]] = row
        return rows

    def append(self, rows: Sequence[Row]) -> None:
        """Judge answers, `{index, text, failed}` and what else of a reply there is, and write them."""
        lines = [json.dumps(self._judged(row), ensure_ascii=False) + "\n" for row in rows]
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(lines))

    def wait(self) -> list[Row]:
        """All rows in order, when every process has given its own."""
        num_known, since = -1, time.monotonic()
        while len(rows := self.read()) < len(self.samples):
            if len(rows) > num_known:
                num_known, since = len(rows), time.monotonic()
            if time.monotonic() - since > PATIENCE_S:
                raise RunStopped(
                    f"{len(rows)} of {len(self.samples)} answers are in {self.folder} and none came for "
                    f"{PATIENCE_S:g} s; look at the other processes and resume"
                )
            time.sleep(POLL_S)
        return [rows[index] for index in range(len(self.samples))]

    def join(self, rows: Sequence[Row]) -> None:
        """Put all rows into one file and remove those of single processes."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write(self.folder / PREDICTIONS, text)
        for path in self.folder.glob("predictions-rank*.jsonl"):
            path.unlink()

    def judge_again(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with what their texts are worth now: the benchmark's true answers may have been corrected."""
        return [json.loads(json.dumps(self._judged(row))) for row in rows]

    def _judged(self, row: Row) -> Row:
        sample = self.samples[row["index"]]
        parsed = self.task.read(sample, reply_of(row)) if row["failed"] is None else Parsed(ok=False)
        kept = {key: sample.meta[key] for key in ("kind", "answer") if key in sample.meta}
        return {
            **{key: row[key] for key in ("index", "text", "failed", *MORE) if key in row},
            "id": sample.id,
            **kept,
            **asdict(parsed),
            "scores": self.task.score(sample, parsed),
            "evaluation": self.run,
        }

    def item(self, row: Row) -> Item:
        """The row as the task's summary takes it."""
        parsed = Parsed(row["value"], row["ok"])
        return Item(self.samples[row["index"]], row["scores"], parsed, row["text"], row["failed"])


def row_of(index: int, reply: Reply) -> Row:
    """The row of an answered item."""
    found = {"spans": reply.spans, "score": reply.score, "record": getattr(reply, "record", None)}
    more = {key: found[key] for key in MORE if found[key] is not None}
    return {"index": index, "text": reply.text, "failed": None, **more}


def failed_row(index: int, reason: str) -> Row:
    """The row of an item that could not be asked about."""
    return {"index": index, "text": "", "failed": " ".join(reason.split())}


def reply_of(row: Row) -> Reply:
    """The reply a row was made of."""
    spans = row.get("spans")
    moments = None if spans is None else tuple((float(start), float(end), float(score)) for start, end, score in spans)
    return Reply(row["text"], moments, row.get("score"))


def _rows(path: Path) -> Iterator[Row]:
    """The whole lines of a file; one that a crash or a running process left unfinished is passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # also when rank 0 has just joined it
        return
    for line in text.split("\n"):  # an answer may hold what splitlines takes for a line end
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
