"""Two evaluations of one task side by side: paired differences of every score over the items both have.

Differences are B - A, so that a positive one speaks for B.  p values are of single rows: of twenty rows one is below
0.05 by chance.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from merv.errors import ConfigError
from merv.evaluation import report
from merv.evaluation.finished import Evaluation, read_evaluation
from merv.evaluation.runner import CARD, COUNTS, RESULTS
from merv.evaluation.statistics import interval, p_value

SAME = ("task", "prompts_sha256", "parser", "protocol")
"""Entries of the card without which two evaluations are not of the same thing."""
OWN = {"model", "model_config", "versions", "evaluation", *COUNTS}
"""Entries of the card in which two evaluations may well differ."""
MAX_KINDS = 12
"""Kinds of question up to which each gets a row."""
COLUMNS = ("score", "items", "A", "B", "B - A", "95 % interval", "p", "wins", "ties", "losses")

Pairs = list[tuple[float, float]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """One score, over all items or those of one kind; a win is an item on which B scores higher."""

    score: str
    """Name as in results.json: `accuracy`, `accuracy/order`."""
    num_items: int
    mean_a: float
    mean_b: float
    difference: float
    """mean_b - mean_a."""
    low: float
    """Lower end of the 95 % confidence interval of the difference."""
    high: float
    """Upper end."""
    p: float
    """Two-sided."""
    test: str
    """Name of the test behind p: mcnemar or sign-flip, see `merv.evaluation.statistics`."""
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Comparison:
    """Differences between two evaluations."""

    a: str
    """Folder of A."""
    b: str
    """Folder of B."""
    task: str
    differences: tuple[Difference, ...]
    totals: Mapping[str, tuple[float, float]]
    """Numbers of both results.json that are no mean over items, such as mAP, and counts: A's and B's."""
    num_both: int
    only_a: int
    """Items only A has answers to."""
    only_b: int
    """Items only B has answers to."""
    unusable: Mapping[str, int]
    """Score -> items left out of it because one of the two is no finite number."""


def compare(folder_a: Path, folder_b: Path) -> Comparison:
    """Compare the evaluations in two folders.

    Raises:
        ConfigError: a file is missing or damaged, they are of different tasks, prompts, parsers or protocols, or no
            item is in both.
    """
    a, b = read_evaluation(folder_a), read_evaluation(folder_b)
    _check_same(a, b)
    both = sorted(a.rows.keys() & b.rows.keys())
    if not both:
        raise ConfigError(f"no item has an answer in both {a.folder} and {b.folder}; evaluate again")
    for index in both:
        if a.rows[index]["id"] != b.rows[index]["id"]:
            found = f"`{a.rows[index]['id']}` in {a.folder} and `{b.rows[index]['id']}` in {b.folder}"
            raise ConfigError(f"item {index} is {found}: predictions of another task; evaluate again")
    pairs, unusable = _pairs(a, b, both)
    for score, count in unusable.items():
        log.warning("score `%s`: %d items left out, where one of the two is no finite number", score, count)
    differences = tuple(_difference(name, np.array(values, dtype=np.float64)) for name, values in pairs.items())
    return Comparison(
        a=str(a.folder),
        b=str(b.folder),
        task=a.card["task"],
        differences=differences,
        totals=_totals(a.results, b.results, pairs),
        num_both=len(both),
        only_a=len(a.rows) - len(both),
        only_b=len(b.rows) - len(both),
        unusable=unusable,
    )


def _check_same(a: Evaluation, b: Evaluation) -> None:
    """Refuse what cannot be compared, and warn of what decides the numbers beside the model."""
    for key in SAME:
        if a.card.get(key) != b.card.get(key):
            raise ConfigError(
                f"{key} is {a.card.get(key)} in {a.folder / CARD}, {b.card.get(key)} in {b.folder / CARD}; "
                "compare evaluations of one task, asked and read in one way"
            )
    for key in sorted({*a.card, *b.card} - {*SAME, *OWN}):
        if a.card.get(key) != b.card.get(key):
            log.warning("%s differs: %s in A, %s in B", key, a.card.get(key), b.card.get(key))


def _names(a: Evaluation, b: Evaluation, both: Sequence[int]) -> list[str]:
    """Scores of items that both have; not those whose mean is another number in results.json."""
    names = sorted(
        {name for index in both for name in a.rows[index]["scores"].keys() & b.rows[index]["scores"].keys()}
    )
    kept = []
    for name in names:
        if a.is_mean(name) and b.is_mean(name):
            kept.append(name)
        else:
            log.warning("score `%s`: %s gives no mean over the items, so it has no interval and no p", name, RESULTS)
    return kept


def _pairs(a: Evaluation, b: Evaluation, both: Sequence[int]) -> tuple[dict[str, Pairs], dict[str, int]]:
    """Score or score/kind -> (A, B) of each item, all items first; and the items left out of each score."""
    pairs: defaultdict[str, Pairs] = defaultdict(list)
    unusable: dict[str, int] = {}
    kinds = {index: kind for index in both if (kind := a.rows[index].get("kind"))}
    by_kind = len(set(map(str, kinds.values()))) <= MAX_KINDS
    for name in _names(a, b, both):
        for index in both:
            value_a, value_b = a.score(index, name), b.score(index, name)
            if value_a is None or value_b is None:
                unusable[name] = unusable.get(name, 0) + 1
                continue
            pairs[name].append((value_a, value_b))
            if by_kind and index in kinds:
                pairs[f"{name}/{kinds[index]}"].append((value_a, value_b))
    return {name: pairs[name] for name in sorted(pairs)}, unusable


def _difference(name: str, pairs: np.ndarray) -> Difference:
    a, b = pairs[:, 0], pairs[:, 1]
    low, high = interval(b - a)
    p, test = p_value(a, b)
    return Difference(
        score=name,
        num_items=len(a),
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float((b - a).mean()),
        low=low,
        high=high,
        p=p,
        test=test,
        wins=int((b > a).sum()),
        ties=int((b == a).sum()),
        losses=int((b < a).sum()),
    )


def _totals(a: Mapping[str, Any], b: Mapping[str, Any], pairs: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Numbers of both results.json that no item's score stands behind."""
    names = [name for name in a if name in b and name not in pairs and name.partition("/")[0] not in pairs]
    return {name: (a[name], b[name]) for name in names if _is_number(a[name]) and _is_number(b[name])}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(comparison: Comparison) -> str:
    """The differences as a Markdown table, with a line that says what was compared."""
    rows: list[dict[str, Any]] = [
        {
            "score": row.score,
            "items": row.num_items,
            "A": row.mean_a,
            "B": row.mean_b,
            "B - A": row.difference,
            "95 % interval": f"{row.low:+.3f} .. {row.high:+.3f}",
            "p": f"{row.p:.2g}",
            "wins": row.wins,
            "ties": row.ties,
            "losses": row.losses,
        }
        for row in comparison.differences
    ]
    rows += [{"score": name, "A": a, "B": b, "B - A": b - a} for name, (a, b) in comparison.totals.items()]
    heading = (
        f"{comparison.task}: A = {comparison.a}, B = {comparison.b}; {comparison.num_both} items in both, "
        f"{comparison.only_a} only in A, {comparison.only_b} only in B; a win is B's"
    )
    return f"{heading}\n\n{report.table(rows, COLUMNS)}"
