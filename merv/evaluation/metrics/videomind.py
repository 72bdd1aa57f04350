"""The tables of VideoMind's evaluator for grounding and multiple choice, over any of its benchmarks.

After github.com/yeliudev/VideoMind, videomind/eval/eval_auto.py (BSD 3-Clause).  It computes in single precision,
which decides where a value falls on a threshold, so this does too.  Shares are 0..1; the script prints 100 times that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = dict[str, float]
"""One line of a table."""


@dataclass(frozen=True)
class Settings:
    """What a table looks at."""

    ks: tuple[int, ...] = (1, 3, 5)
    thresholds: tuple[float, ...] = (0.3, 0.5, 0.7)


GROUNDED, CGBENCH = Settings(), Settings(ks=(1,), thresholds=(0.1, 0.2, 0.3, 0.4, 0.5))


@dataclass(frozen=True)
class _Scored:
    """What became of one sample; None where it was not asked for that."""

    tasks: tuple[str, ...]
    iou: np.ndarray | None = None
    """Best value of each prediction."""
    iop: np.ndarray | None = None
    before: tuple[float, float] | None = None
    """IoU and IoP of the first prediction before the verifier sorted them."""
    failed: bool = False
    asked: bool = False
    correct: bool | None = None
    """Whether the option is right; None when none could be read."""


def eval_auto(
    samples: Iterable[Mapping[str, Any]], *, cgbench: bool = False, conf_thr: float = -1.0
) -> dict[str, dict[str, Row]]:
    """Tables by name, then by task, with the row `all` at the end of each.

    A sample is a record of VideoMind's output files: `pred` (windows in seconds, best first), `conf` and `span` (the
    true windows) for grounding, `question`, `options`, `ans` (a letter) and `response` for the answer, `task` (one or
    several; it counts in each), `grounder_success`, and `pred_ori` and `conf_ori` for what a verifier changed.

    `Grounding (IoU)`, `Grounding (IoP)`: `#Samples`, `Failed`, `R{k}@{threshold}` and `mIoU` or `mIoP`.  `QA`:
    `#Samples`, `Failed` (no option read), `Acc`, `Acc (IoU >= 0.5)`, `Acc (IoP >= 0.5)`.  `Verifier`: how many first
    windows it made better or worse.  With `cgbench` one union IoU of the first window, or of all above `conf_thr`,
    stands for the sample, and the columns are `rec.@IoU`, `long-acc.` and `acc.@IoU`.

    Only samples with predictions count in grounding; an empty list of predictions, where the script stops, is a miss.
    """
    settings = CGBENCH if cgbench else GROUNDED
    scored = [_score(sample, cgbench, conf_thr) for sample in samples]
    groups = {name: [s for s in scored if name in s.tasks] for name in sorted({t for s in scored for t in s.tasks})}
    groups["all"] = scored
    tables = {"Grounding (IoU)": {name: _grounding(group, "iou", settings) for name, group in groups.items()}}
    if cgbench:
        tables["QA"] = {name: _cgbench_qa(group, settings) for name, group in groups.items()}
    else:
        tables["Grounding (IoP)"] = {name: _grounding(group, "iop", settings) for name, group in groups.items()}
        tables["QA"] = {name: _qa(group) for name, group in groups.items()}
    return tables | {"Verifier": {"all": _verifier(scored)}}


def first_letter(response: str, num_options: int) -> int | None:
    """Index of the option VideoMind reads: the first character of the first word without `(`, `)` and `.`.

    So `Answer: C` is option A, and `[B]` or `1` is none.
    """
    word = response.lower().split(" ")[0].translate(str.maketrans("", "", "()."))
    index = ord(word[0]) - ord("a") if word else -1
    return index if 0 <= index < num_options else None


def _score(sample: Mapping[str, Any], cgbench: bool, conf_thr: float) -> _Scored:
    task = sample.get("task", "unknown")
    tasks = (task,) if isinstance(task, str) else tuple(task)
    found: dict[str, Any] = {}
    if "pred" in sample and "conf" in sample and "span" in sample:
        found["iou"], found["iop"] = _values(sample["pred"], sample["conf"], sample["span"], cgbench, conf_thr)
        found["failed"] = not sample.get("grounder_success", True)
        if sample.get("pred_ori") is not None:
            iou, iop = _values(sample["pred_ori"], sample["conf_ori"], sample["span"], cgbench, conf_thr)
            found["before"] = (float(iou[0]), float(iop[0]))
    if "question" in sample and "response" in sample:
        index = first_letter(sample["response"], len(sample["options"]))
        right = ord(sample["ans"].lower()) - ord("a")
        found |= {"asked": True, "correct": None if index is None else index == right}
    return _Scored(tasks, **found)


def _values(
    preds: Sequence[Any], confidences: Sequence[float], truths: Sequence[Any], cgbench: bool, conf_thr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Best IoU and best IoP of each prediction, (P,) each; one zero without predictions."""
    if not len(preds):
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    pred, true = np.array(preds, np.float32), np.array(truths, np.float32)
    shared = _shared(pred, true)
    lengths = (pred[:, 1] - pred[:, 0])[:, None]
    iop = _finite(shared, np.broadcast_to(lengths, shared.shape)).max(axis=1)
    if cgbench:
        kept = np.array(confidences, np.float32) > conf_thr if conf_thr > 0 else np.zeros(len(pred), bool)
        kept[0] = True
        return _union_iou(pred[kept], true), iop
    return _finite(shared, lengths + (true[:, 1] - true[:, 0]) - shared).max(axis=1), iop


def _shared(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Seconds each prediction shares with each true window.  (P, 2), (T, 2) -> (P, T)."""
    start = np.maximum(pred[:, None, 0], true[:, 0])
    return np.clip(np.minimum(pred[:, None, 1], true[:, 1]) - start, 0, None)


def _union_iou(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """`union_iou` of the `videomind` protocol in single precision, as (1,)."""
    shared = _sum(_shared(pred, true))
    covered = _sum(pred[:, 1] - pred[:, 0]) + _sum(true[:, 1] - true[:, 0]) - shared
    return _finite(np.atleast_1d(shared), np.atleast_1d(covered))


def _sum(values: np.ndarray) -> np.float32:
    # In the order of torch's sum, four running totals: the tenth digit of a mean hangs on it.
    flat = values.ravel()
    whole = len(flat) // 4 * 4
    lanes = [*flat[:whole].reshape(-1, 4).sum(axis=0)]
    for value in flat[whole:]:
        lanes[0] += value
    return np.float32(lanes[0] + lanes[1] + lanes[2] + lanes[3])


def _finite(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _grounding(group: list[_Scored], measure: str, settings: Settings) -> Row:
    values = [value for sample in group if (value := getattr(sample, measure)) is not None]
    row: Row = {"#Samples": len(values), "Failed": sum(sample.failed for sample in group)}
    for k in settings.ks:
        for threshold in settings.thresholds:
            row[f"R{k}@{threshold}"] = _share(sum(v[:k].max() >= threshold for v in values), len(values))
    row["mIoU" if measure == "iou" else "mIoP"] = _share(sum(float(v[0]) for v in values), len(values))
    if settings is CGBENCH:
        row["rec.@IoU"] = sum(row[f"R1@{t}"] for t in settings.thresholds) / len(settings.thresholds)
    return row


def _qa(group: list[_Scored]) -> Row:
    asked = [sample for sample in group if sample.asked]
    right = [sample for sample in asked if sample.correct]
    return {
        "#Samples": len(asked),
        "Failed": sum(sample.correct is None for sample in asked),
        "Acc": _share(len(right), len(asked)),
        "Acc (IoU >= 0.5)": _share(sum(_reaches(s.iou, 0.5) for s in right), len(asked)),
        "Acc (IoP >= 0.5)": _share(sum(_reaches(s.iop, 0.5) for s in right), len(asked)),
    }


def _cgbench_qa(group: list[_Scored], settings: Settings) -> Row:
    row = _qa(group)
    hits = [_share(sum(_reaches(s.iou, t) for s in group if s.correct), row["#Samples"]) for t in settings.thresholds]
    return {name: row[name] for name in ("#Samples", "Failed")} | {
        "long-acc.": row["Acc"],
        "acc.@IoU": sum(hits) / len(hits),
    }


def _reaches(values: np.ndarray | None, threshold: float) -> bool:
    return values is not None and bool(values[0] >= threshold)


def _verifier(scored: list[_Scored]) -> Row:
    row: Row = {}
    for index, (name, measure) in enumerate((("IoU", "iou"), ("IoP", "iop"))):
        pairs = [(s.before[index], float(getattr(s, measure)[0])) for s in scored if s.before is not None]
        row[f"{name} Raise"] = sum(old < new for old, new in pairs)
        row[f"{name} Lower"] = sum(old > new for old, new in pairs)
    return row


def _share(total: float, count: float) -> float:
    return float(total / count) if count else 0.0
