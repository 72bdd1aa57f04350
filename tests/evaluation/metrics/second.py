"""A second reading of QVHighlights' definitions, in exact fractions and straight from them, to compare ours with.

Nothing is shared with merv and nothing is fast: windows are sets of whole seconds, every recall is searched for.
"""

from fractions import Fraction
from typing import Any

RANGES = {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": (0, 150)}
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}


def steps(first: str, last: str = "0.95") -> list[Fraction]:
    count = (Fraction(last) - Fraction(first)) / Fraction("0.05")
    return [Fraction(first) + index * Fraction("0.05") for index in range(int(count) + 1)]


def mean(values: list[Any]) -> Fraction:
    return Fraction(sum(values), 1) / len(values) if values else Fraction(0)


def iou(a: list[int], b: list[int]) -> Fraction:
    first, second = set(range(a[0], a[1])), set(range(b[0], b[1]))
    return Fraction(len(first & second), len(first | second)) if first | second else Fraction(0)


def average_precision(preds: list[list[Any]], truths: list[list[int]], threshold: Fraction) -> Fraction:
    free = list(truths)
    hits = []
    for pred in sorted(preds[:10], key=lambda window: window[2], reverse=True):
        best = max(free, key=lambda truth: iou(pred, truth), default=None)
        hits.append(best is not None and iou(pred, best) >= threshold)
        if hits[-1]:
            free.remove(best)
    precisions = [mean(hits[: index + 1]) for index in range(len(hits))]
    return sum((max(precisions[index:]) for index, hit in enumerate(hits) if hit), Fraction(0)) / len(truths)


def saliency_precision(scores: list[float], marked: list[bool]) -> Fraction:
    if len(set(marked)) == 1:
        return Fraction(int(marked[0]))
    points = []
    for threshold in set(scores):
        chosen = [mark for score, mark in zip(scores, marked, strict=True) if score >= threshold]
        points.append((Fraction(sum(chosen), sum(marked)), mean(chosen)))
    reached = {recall for recall, _ in points if recall}
    return mean([max(p for recall, p in points if recall >= least) for least in reached])


def moments(pairs: list[tuple[list[Any], list[Any]]], protocol: str) -> dict[str, Fraction]:
    rows = {}
    for name, (low, high) in RANGES.items():
        inside = [(pred, [w for w in true if low < w[1] - w[0] <= high]) for pred, true in pairs]
        items = [(pred, true) for pred, true in inside if true]
        for t in steps("0.5"):
            rows[f"MR-{name}-mAP@{float(t)}"] = mean([average_precision(pred, true, t) for pred, true in items])
        rows[f"MR-{name}-mAP"] = mean([rows[f"MR-{name}-mAP@{float(t)}"] for t in steps("0.5")])
        best = {k: [max(iou(p, t) for p in pred[:k] for t in true) for pred, true in items] for k in (1, 5)}
        for t in steps("0.5" if protocol == "official" else "0.3"):
            rows[f"MR-{name}-R1@{float(t)}"] = mean([value >= t for value in best[1]])
            if protocol == "videomind":
                rows[f"MR-{name}-R5@{float(t)}"] = mean([value >= t for value in best[5]])
        if protocol == "videomind":
            rows[f"MR-{name}-mIoU"] = mean(best[1])
    return rows


def highlights(pairs: list[tuple[list[float], dict[str, Any]]]) -> dict[str, Fraction]:
    rows = {}
    for name, least in LEVELS.items():
        precisions, hits = [], []
        for scores, truth in pairs:
            clips = truth["duration"] // 2
            given = dict(zip(truth["relevant_clip_ids"], truth["saliency_scores"], strict=True))
            marked = [[given.get(clip, [0, 0, 0])[judge] >= least for clip in range(clips)] for judge in range(3)]
            padded = (scores + [0.0] * clips)[:clips]
            precisions += [saliency_precision(padded, column) for column in marked]
            top = scores.index(max(scores))
            hits.append(top < clips and any(column[top] for column in marked))
        rows[f"HL-min-{name}-mAP"], rows[f"HL-min-{name}-Hit1"] = mean(precisions), mean(hits)
    return rows


def qvhighlights(predictions: list[Any], truths: list[Any], protocol: str) -> dict[str, Fraction]:
    true = {row["qid"]: row for row in truths}
    pairs = [(row, true[row["qid"]]) for row in predictions]
    found = moments([(p["pred_relevant_windows"], t["relevant_windows"]) for p, t in pairs], protocol)
    return found | highlights([(p["pred_saliency_scores"], t) for p, t in pairs])
