"""Moment retrieval and highlight detection of QVHighlights: R1, mAP, saliency mAP and HIT@1.

After moment_detr (github.com/jayleicn/moment_detr, standalone_eval, MIT), the benchmark's own evaluator, and
VideoMind's variant of it (videomind/eval/eval_qvhighlights.py).  All values are 0..1; the scripts print percent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from merv.errors import ConfigError
from merv.evaluation.metrics.spans import Protocol, Window, iou, paired_iou

AP_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU of mAP, and of R1 with `official`: 0.5, 0.55, ... 0.95."""
RECALL_THRESHOLDS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))
"""IoU of R1 and R5 with `videomind`: 0.3, 0.35, ... 0.95."""
MAX_WINDOWS = 10
"""Windows of a prediction that mAP looks at: the first ones as listed, whatever their scores."""
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
"""Saliency a clip of 2 seconds needs, of 0..4, to count as a highlight."""
CLIP_SECONDS = 2


def qvhighlights(
    predictions: Sequence[Mapping[str, Any]], truths: Sequence[Mapping[str, Any]], *, protocol: Protocol = "official"
) -> dict[str, float]:
    """The official rows of a submission, 0..1.

    A prediction holds `qid` and either or both of `pred_relevant_windows`, a list of [start, end, score], and
    `pred_saliency_scores`, one number for each clip of 2 seconds.  A truth is a line of the annotation file.

    `MR-{short,middle,long,full}-mAP`, `-mAP@{0.5..0.95}` and `-R1@{0.5..0.95}`, and `HL-min-{level}-mAP` and `-Hit1`.
    With `videomind` R1 begins at 0.3 and `-R5@...` and `-mIoU` are added.  Traps: R1 takes the window listed first,
    not the one of the best score.  A true window is short up to 10 s, middle up to 30 s, long above (up to 150 s with
    `official`); a query with several counts in each range, with the windows of that range only.  A range that holds
    no window has no rows; `videomind` takes the whole set instead.  A query without windows is a miss with an AP of 0;
    the original stops there.

    Raises:
        ConfigError: the queries are not those of the truths.
    """
    require_same_queries(predictions, truths)
    true = {row["qid"]: row for row in truths}
    pairs = [(row, true[row["qid"]]) for row in predictions]
    rows: dict[str, float] = {}
    if any("pred_relevant_windows" in row for row in predictions):
        rows |= _moments([(p.get("pred_relevant_windows", []), t["relevant_windows"]) for p, t in pairs], protocol)
    if any("pred_saliency_scores" in row for row in predictions) and all("saliency_scores" in row for row in truths):
        rows |= _highlights([(np.asarray(p.get("pred_saliency_scores", [])), _saliency(t)) for p, t in pairs])
    return rows


def require_same_queries(predictions: Sequence[Mapping[str, Any]], truths: Sequence[Mapping[str, Any]]) -> None:
    """Refuse predictions of other queries than the truths, as the official evaluators do.

    Raises:
        ConfigError: a query has no prediction, or a prediction no query.
    """
    predicted, asked = {row["qid"] for row in predictions}, {row["qid"] for row in truths}
    if predicted != asked or not asked:
        example = next(iter(sorted(predicted ^ asked, key=str)), "none at all")
        raise ConfigError(
            f"predictions and truths are of different queries: {len(predicted - asked)} predicted only, "
            f"{len(asked - predicted)} without a prediction, such as `{example}`; give one prediction to each query"
        )


def _moments(items: list[tuple[Any, Any]], protocol: Protocol) -> dict[str, float]:
    """Rows of every range of lengths of the true windows, of (predicted, true) windows of each query."""
    longest = 150 if protocol == "official" else float("inf")
    rows: dict[str, float] = {}
    for name, low, high in (("short", 0, 10), ("middle", 10, 30), ("long", 30, longest)):
        inside = [(pred, [w for w in true if low < w[1] - w[0] <= high]) for pred, true in items]
        chosen = [(pred, true) for pred, true in inside if true]
        if chosen or protocol == "videomind":
            rows |= _range_rows(f"MR-{name}", chosen or items, protocol)
    return rows | _range_rows("MR-full", items, protocol)


def _range_rows(name: str, items: list[tuple[Any, Any]], protocol: Protocol) -> dict[str, float]:
    precisions = np.mean([average_precisions(pred, true) for pred, true in items], axis=0)
    rows = {f"{name}-mAP": float(precisions.mean())}
    rows |= {f"{name}-mAP@{t}": float(value) for t, value in zip(AP_THRESHOLDS, precisions, strict=True)}
    first = np.array([paired_iou(_windows(pred[:1]), true) for pred, true in items])
    if protocol == "official":
        return rows | {f"{name}-R1@{t}": float(np.mean(first >= t)) for t in AP_THRESHOLDS}
    best = np.array([paired_iou(_windows(pred[:5]), true) for pred, true in items])
    rows |= {f"{name}-R1@{t}": float(np.mean(first >= t)) for t in RECALL_THRESHOLDS}
    rows |= {f"{name}-R5@{t}": float(np.mean(best >= t)) for t in RECALL_THRESHOLDS}
    return rows | {f"{name}-mIoU": float(first.mean())}


def _windows(scored: Sequence[Sequence[float]]) -> list[Window]:
    return [(window[0], window[1]) for window in scored]


def average_precisions(
    preds: Sequence[Sequence[float]], truths: Sequence[Window], thresholds: Sequence[float] = AP_THRESHOLDS
) -> list[float]:
    """Interpolated average precision of one query at each IoU threshold, 0..1.

    The first 10 windows as listed, by score (equal scores as listed), each take the free true window they meet best,
    if at the threshold; later windows of that one are wrong.
    """
    ordered = _windows(sorted(preds[:MAX_WINDOWS], key=lambda window: -window[2]))
    values = [[iou(pred, truth) for truth in truths] for pred in ordered]
    # Of equal values the later true window comes first, as numpy's reversed argsort has it.
    choices = [sorted(range(len(truths)), key=row.__getitem__)[::-1] for row in values]
    return [_interpolated(_hits(values, choices, threshold), len(truths)) for threshold in thresholds]


def _hits(values: list[list[float]], choices: list[list[int]], threshold: float) -> list[bool]:
    """Which windows take a true one."""
    taken: set[int] = set()
    hits = []
    for row, order in zip(values, choices, strict=True):
        found = next((j for j in order if row[j] >= threshold and j not in taken), None)
        hits.append(found is not None)
        taken |= {found} if found is not None else set()
    return hits


def _interpolated(hits: list[bool], num_truths: int) -> float:
    """Area under precision over recall, with each precision raised to the best at the same or a higher recall."""
    if not any(hits):
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    raised = np.maximum.accumulate(precision[::-1])[::-1]
    return float(raised[np.array(hits)].sum() / num_truths)


def _saliency(truth: Mapping[str, Any]) -> np.ndarray:
    """Saliency of every clip by the three annotators, 0..4; 0 outside the relevant clips.  (clips, 3)."""
    scores = np.zeros((int(truth["duration"] / CLIP_SECONDS), 3))
    scores[np.array(truth["relevant_clip_ids"], dtype=int)] = truth["saliency_scores"]
    return scores


def _highlights(items: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """mAP, the mean over annotators, and HIT@1, the best of them, at every level."""
    rows: dict[str, float] = {}
    for name, least in LEVELS.items():
        marked = [(scores, true >= least) for scores, true in items]
        precisions = [[saliency_ap(scores, column) for column in true.T] for scores, true in marked]
        rows[f"HL-min-{name}-mAP"] = float(np.mean(precisions))
        rows[f"HL-min-{name}-Hit1"] = float(np.mean([_hit_at_one(scores, true) for scores, true in marked]))
    return rows


def _hit_at_one(scores: np.ndarray, marked: np.ndarray) -> bool:
    """Whether an annotator marked the clip of the highest score; never when that lies past the video's clips."""
    best = int(scores.argmax()) if len(scores) else len(marked)
    return best < len(marked) and bool(marked[best].any())


def saliency_ap(scores: np.ndarray, marked: np.ndarray) -> float:
    """Mean, over each recall that is reached, of the best precision at that or a higher recall, 0..1.

    Of the scores of all clips (n,) and whether each is a highlight (n,).  Scores are cut, or filled with 0, to the
    number of clips; equal scores enter together.  Without a highlight it is 0, with nothing else 1.
    """
    if marked.all() or not marked.any():
        return float(bool(marked.any()))
    scores = np.concatenate([scores, np.zeros(max(0, len(marked) - len(scores)))])[: len(marked)]
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(marked[order])[ends]
    raised = np.maximum.accumulate((found / (ends + 1))[::-1])[::-1]
    first = np.flatnonzero(np.diff(found, prepend=0))
    return float(raised[first].mean())
