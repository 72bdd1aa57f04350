"""Recall and mean IoU of windows, as Charades-STA, ActivityNet-Captions, TACoS, Ego4D-NLQ and TimeChat count them.

Predictions are windows in seconds, best first.  All values are 0..1; the tables of the papers print 100 times that.
"""

from collections.abc import Sequence

from merv.evaluation.metrics.spans import Measure, Window, best_iou, hull_iou, iou

THRESHOLDS = (0.3, 0.5, 0.7)
"""IoU a window must reach, in the tables of Charades-STA, ActivityNet-Captions and TACoS."""


def recall_at(
    preds: Sequence[Sequence[Window]],
    truths: Sequence[Sequence[Window]],
    k: int,
    threshold: float,
    measure: Measure = iou,
    *,
    strict: bool = False,
) -> float:
    """Share of items, 0..1, where one of the first k predictions reaches the threshold on one true window.

    An item without predictions is a miss and stays in the denominator.  `strict` asks for more than the threshold.
    """
    best = [best_iou(windows[:k], true, measure) for windows, true in zip(preds, truths, strict=True)]
    hits = [value > threshold if strict else value >= threshold for value in best]
    return sum(hits) / len(hits) if hits else 0.0


def mean_best(
    preds_top1: Sequence[Window | None], truths: Sequence[Sequence[Window]], measure: Measure = iou
) -> float:
    """Mean over all items of the first prediction's value on the true window it meets best: mIoU, or mIoP.

    None, for an item without predictions, counts 0.  With `tall_iou` windows apart pull the mean below that of `iou`.
    """
    values = [
        best_iou([window] if window is not None else [], true, measure)
        for window, true in zip(preds_top1, truths, strict=True)
    ]
    return sum(values) / len(values) if values else 0.0


def moment_table(
    preds: Sequence[Sequence[Window]],
    truths: Sequence[Sequence[Window]],
    *,
    ks: Sequence[int] = (1,),
    thresholds: Sequence[float] = THRESHOLDS,
    measure: Measure = iou,
    strict: bool = False,
) -> dict[str, float]:
    """Rows `R1@0.3`, ... of every k and threshold, and `mIoU` of the first prediction.

    The defaults are the table of Charades-STA, ActivityNet-Captions and TACoS.
    """
    rows = {f"R{k}@{t}": recall_at(preds, truths, k, t, measure, strict=strict) for k in ks for t in thresholds}
    return rows | {"mIoU": mean_best([windows[0] if windows else None for windows in preds], truths, measure)}


def ego4d_nlq(preds: Sequence[Sequence[Window]], truths: Sequence[Window]) -> dict[str, float]:
    """Ego4D natural language queries: `R1@0.3`, `R1@0.5`, `R5@0.3`, `R5@0.5`, and `mIoU` of the first prediction.

    The official code asks for more than the threshold and takes `hull_iou` (github.com/EGO4D/episodic-memory,
    NLQ/VSLNet/utils/evaluate_ego4d_nlq.py).  It means over the queries that were predicted and gives NaN for a true
    window without length on the same instant; here an item without predictions is a miss and that value is 0.
    """
    true = [[truth] for truth in truths]
    return moment_table(preds, true, ks=(1, 5), thresholds=(0.3, 0.5), measure=hull_iou, strict=True)


def timechat_tvg(preds: Sequence[Sequence[Window]], truths: Sequence[Window]) -> dict[str, float]:
    """TimeChat's temporal grounding on Charades-STA: `R1@0.3`, `R1@0.5`, `R1@0.7` of the first window by `hull_iou`.

    An item without windows is a miss (github.com/RenShuhuai-Andy/TimeChat, metrics/tvg/eval_tvg.py).
    """
    return {f"R1@{t}": recall_at(preds, [[truth] for truth in truths], 1, t, hull_iou) for t in THRESHOLDS}
