"""How well one window of a video meets another; a window is (start, end) in seconds.

Implementations agree on two windows that overlap and differ on the rest: windows apart, without length, or several at
once.  What differs has its own function or is a `protocol`.  All give 0 where the original would divide by zero.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

Window = tuple[float, float]
"""Start and end in seconds."""

Measure = Callable[[Window, Window], float]
"""Worth of a prediction (first) against a true window (second)."""

Protocol = Literal["official", "videomind"]
"""Whose arithmetic: that of the benchmark's authors, or of VideoMind's evaluators (github.com/yeliudev/VideoMind)."""


def overlap(a: Window, b: Window) -> float:
    """Seconds two windows share, 0 when they are apart."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def iou(a: Window, b: Window) -> float:
    """Shared seconds over covered seconds, 0..1; 0 for a window without length and for one that ends before it starts.

    The cross IoU of moment_detr (standalone_eval/utils.py) and nncore's `temporal_iou`, on doubles.
    """
    shared = overlap(a, b)
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if shared > 0 and union > 0 else 0.0


def hull_iou(a: Window, b: Window) -> float:
    """Shared seconds over those from the first start to the last end, 0..1.

    The same number as `iou` where the windows overlap, up to the last bit; a threshold that falls exactly on a value
    can tell the two.  So do TimeChat (metrics/tvg/eval_tvg.py), lmms-eval (charades_sta/eval_tvg.py), NExT-GQA, Ego4D
    NLQ and the paired IoU of moment_detr.
    """
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return overlap(a, b) / hull if hull > 0 else 0.0


def tall_iou(a: Window, b: Window) -> float:
    """As `hull_iou`, but negative for windows apart: minus the gap over the hull, so that a mean of it is lower.

    TALL (github.com/jiyanggao/TALL, main.py, `calculate_IoU`), the first evaluator of Charades-STA.
    """
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return (min(a[1], b[1]) - max(a[0], b[0])) / hull if hull > 0 else 0.0


def iop(pred: Window, truth: Window, *, protocol: Protocol = "official") -> float:
    """Share of a prediction that lies inside the true window, 0..1.

    A prediction without length that lies inside counts 1 with `official` (NExT-GQA, code/TempGQA/eval_ground.py) and 0
    with `videomind` (nncore's `temporal_iof`); both call its IoU 0.
    """
    length = pred[1] - pred[0]
    if length > 0:
        return overlap(pred, truth) / length
    return float(protocol == "official" and length == 0 and truth[0] <= pred[0] <= truth[1])


def union_iou(preds: Sequence[Window], truths: Sequence[Window], *, protocol: Protocol = "official") -> float:
    """IoU of two sets of windows: what both cover over what either covers.

    `official` merges the windows of a set first (CG-Bench in VLMEvalKit, vlmeval/dataset/utils/cgbench.py), so the
    value is 0..1.  `videomind` adds up lengths and pairwise overlaps as they are (videomind/eval/eval_auto.py):
    windows of one set that overlap count twice, and the value can leave 0..1.
    """
    if protocol == "official":
        preds, truths = merge(preds), merge(truths)
    shared = sum(overlap(a, b) for a in preds for b in truths)
    union = sum(end - start for start, end in preds) + sum(end - start for start, end in truths) - shared
    return shared / union if union else 0.0


def paired_iou(preds: Sequence[Window], truths: Sequence[Window]) -> float:
    """`hull_iou` of the pair whose `iou` is best, the first of equals; 0 when either is missing.

    moment_detr (standalone_eval/eval.py) and ReXTime (evaluation/rextime_eval.py) choose the true window by one
    formula and compare the other with the threshold.
    """
    pairs = [(pred, truth) for pred in preds for truth in truths]
    return hull_iou(*max(pairs, key=lambda pair: iou(*pair))) if pairs else 0.0


def merge(windows: Iterable[Window]) -> list[Window]:
    """The same seconds as windows that neither overlap nor touch, by start; windows that end before they start go."""
    merged: list[Window] = []
    for start, end in sorted((start, end) for start, end in windows if start <= end):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def clamp(span: Window, duration: float) -> Window:
    """The window inside a video of `duration` seconds: ends in order, both between 0 and the duration."""
    start, end = sorted(min(max(0.0, second), duration) for second in span)
    return start, end


def best_iou(preds: Sequence[Window], truths: Sequence[Window], measure: Measure = iou) -> float:
    """The best value of any prediction against any true window; 0 when either is missing."""
    return max((measure(pred, truth) for pred in preds for truth in truths), default=0.0)
