"""A finished evaluation read back from its folder: card, results and the answers with their scores."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merv.errors import ConfigError
from merv.evaluation.answers import PREDICTIONS, Row
from merv.evaluation.runner import CARD, RESULTS

ROUNDING = 0.005
"""How far a number of results.json may be from the mean over items and still be it, rounded to two decimals."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation left behind."""

    folder: Path
    card: Mapping[str, Any]
    results: Mapping[str, Any]
    rows: Mapping[int, Row]
    """Answers by the item's number in the task."""

    def score(self, index: int, name: str) -> float | None:
        """A score of an item; None when it has none or it is no finite number."""
        value = self.rows[index]["scores"].get(name)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def is_mean(self, name: str) -> bool:
        """Whether the number called `name` in results.json is the mean of that score, as a fraction or in percent.

        It is not where a judge gave the scores at the end, or where the benchmark averages in another way.
        """
        total = self.results.get(name)
        values = [value for index in self.rows if (value := self.score(index, name)) is not None]
        if not values:
            return False
        if not isinstance(total, int | float) or not math.isfinite(total):  # nothing to hold it against
            return True
        missing = max(0, self.results.get("num_items", len(values)) - len(values))
        allowed = ROUNDING + missing / len(values)
        mean = sum(values) / len(values)
        return any(math.isclose(total / scale, mean, abs_tol=allowed) for scale in (1, 100))


def read_evaluation(folder: Path) -> Evaluation:
    """Read card, results and answers; lines that are not whole are passed over with their count.

    Raises:
        ConfigError: a file is missing, damaged, or belongs to another evaluation than the card.
    """
    card, results = _read_object(folder / CARD), _read_object(folder / RESULTS)
    path = folder / PREDICTIONS
    rows, num_broken = _read_rows(path)
    if num_broken:
        log.warning("%s: %d lines are not whole and were passed over", path, num_broken)
    if not rows:
        raise ConfigError(f"{path} holds no answers; evaluate again")
    if "task" not in card or "evaluation" not in card:
        raise ConfigError(f"{folder / CARD} names no task or evaluation; evaluate again")
    for name, found in ((RESULTS, [results]), (PREDICTIONS, rows.values())):
        if any(each.get("evaluation") != card["evaluation"] for each in found):
            raise ConfigError(f"{folder / name} is of another evaluation than {CARD} beside it; evaluate again")
    return Evaluation(folder, card, results, rows)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"{path} is missing: no evaluation has finished there; run `merv eval` again") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON: {error}; evaluate again") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds no object; evaluate again")
    return value


def _read_rows(path: Path) -> tuple[dict[int, Row], int]:
    """Rows by index, and how many lines are none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")  # not splitlines: see answers.py
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; evaluate again") from error
    rows: dict[int, Row] = {}
    num_broken = 0
    for line in filter(str.strip, lines):
        row = _row(line)
        if row is None:
            num_broken += 1
        else:
            rows[row["index"]] = row
    return rows, num_broken


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("scores"), dict):
        return None
    return row if isinstance(row.get("index"), int) and "id" in row else None
