"""Answers with the window that shows them: NExT-GQA, ReXTime, CG-Bench, DeVE-QA and QA-Ego4D, each by its own rules.

All values are 0..1; the official scripts print 100 times that, but for ReXTime's accuracies.  Where a function takes
`correct`, the answer was read and compared before; an answer that could not be read is False.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from merv.evaluation.metrics.grounding import THRESHOLDS, ego4d_nlq
from merv.evaluation.metrics.retrieval import RECALL_THRESHOLDS, require_same_queries
from merv.evaluation.metrics.spans import (
    Measure,
    Protocol,
    Window,
    best_iou,
    hull_iou,
    iop,
    iou,
    paired_iou,
    union_iou,
)

CGBENCH_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""IoU over which CG-Bench means recall and accuracy."""


def nextgqa(
    preds: Sequence[Window | None],
    truths: Sequence[Sequence[Window]],
    correct: Sequence[bool],
    *,
    protocol: Protocol = "official",
    missing: Literal["wrong", "skip"] = "wrong",
) -> dict[str, float]:
    """NExT-GQA: `Acc@GQA`, `mIoP`, `IoP@0.3`, `IoP@0.5`, `mIoU`, `IoU@0.3`, `IoU@0.5` of one window per question.

    IoU and IoP each take the true window that is best for it; Acc@GQA asks for a right answer and an IoP of 0.5.
    `official` (github.com/doc-doc/NExT-GQA, code/TempGQA/eval_ground.py): the IoU of the hull, and an IoP of 1 for a
    window without length inside a true one.  `videomind`: the plain IoU, and an IoP of 0 there, as `eval_auto` has it
    but in doubles.  Trap: the official code leaves out questions without a window, None, also in the denominator;
    `missing="skip"` does so, `wrong` counts them.
    """
    items = [
        (pred, true, right)
        for pred, true, right in zip(preds, truths, correct, strict=True)
        if pred is not None or missing == "wrong"
    ]
    overlap_measure = hull_iou if protocol == "official" else iou
    ious = _best(items, overlap_measure)
    iops = _best(items, partial(iop, protocol=protocol))
    return {
        "Acc@GQA": _mean([right and value >= 0.5 for value, (_, _, right) in zip(iops, items, strict=True)]),
        "mIoP": _mean(iops),
        **{f"IoP@{t}": _mean([value >= t for value in iops]) for t in (0.3, 0.5)},
        "mIoU": _mean(ious),
        **{f"IoU@{t}": _mean([value >= t for value in ious]) for t in (0.3, 0.5)},
    }


def denormalised(window: Window, duration: float) -> Window:
    """Seconds, to 0.1, of a window in shares of the duration, as NExT-GQA's evaluator takes the Gaussian masks'."""
    start, end = np.round(np.asarray(window, dtype=float) * duration, 1)
    return float(start), float(end)


def rextime(predictions: Sequence[Mapping[str, Any]], truths: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """ReXTime: `VQA`, `MR-full-mIoU`, `MR-full-R1@{0.3..0.95}` and `VQA,mIoU@{0.3, 0.5, 0.7}`, 0..1.

    A prediction holds `qid` and either or both of `ans`, a letter, and `pred_relevant_windows`, of which the first
    counts; a truth holds `qid`, `ans` and `relevant_windows`.  Rows of what no prediction holds are left out, and a
    single one without it is wrong.  `VQA` is the exact letter; `VQA,mIoU@t` asks for the letter and an IoU of t on the
    true window that is met best (github.com/ReXTime/ReXTime, evaluation/rextime_eval.py).  Trap: the script prints the
    accuracies as shares and the rest as percent.

    Raises:
        ConfigError: the queries are not those of the truths.
    """
    require_same_queries(predictions, truths)
    true = {row["qid"]: row for row in truths}
    right = [row.get("ans") == true[row["qid"]]["ans"] for row in predictions]
    ious = [
        paired_iou(
            [(w[0], w[1]) for w in row.get("pred_relevant_windows", [])[:1]], true[row["qid"]]["relevant_windows"]
        )
        for row in predictions
    ]
    rows: dict[str, float] = {}
    answered = any("ans" in row for row in predictions)
    grounded = any("pred_relevant_windows" in row for row in predictions)
    if answered:
        rows["VQA"] = _mean(right)
    if grounded:
        rows["MR-full-mIoU"] = _mean(ious)
        rows |= {f"MR-full-R1@{t}": _mean([value >= t for value in ious]) for t in RECALL_THRESHOLDS}
    if answered and grounded:
        both = list(zip(ious, right, strict=True))
        rows |= {f"VQA,mIoU@{t}": _mean([value >= t and hit for value, hit in both]) for t in THRESHOLDS}
    return rows


def cgbench(
    preds: Sequence[Sequence[Window]],
    truths: Sequence[Sequence[Window]],
    correct: Sequence[bool],
    *,
    protocol: Protocol = "official",
) -> dict[str, float]:
    """CG-Bench: `long-acc.`, `mIoU`, `rec.@IoU` and `acc.@IoU` of all windows of a question together.

    The IoU is `union_iou` of that protocol; recall and accuracy are means over the thresholds 0.1 to 0.5, and accuracy
    asks for the IoU and the answer.  `official` (VLMEvalKit, vlmeval/dataset/utils/cgbench.py) asks for more than the
    threshold and rounds to 4 digits at each and at the end.  `videomind` takes values at the threshold too and rounds
    nothing; which windows it keeps, the first or those above a confidence, is the caller's choice.  Trap: the official
    code leaves out replies it cannot read; here they are wrong, so leave them out for its numbers.
    """
    ious = [union_iou(pred, true, protocol=protocol) for pred, true in zip(preds, truths, strict=True)]
    official = protocol == "official"
    digits = 4 if official else 15
    recalls, accuracies = [], []
    for threshold in CGBENCH_THRESHOLDS:
        hits = [value > threshold if official else value >= threshold for value in ious]
        recalls.append(round(_mean(hits), digits))
        accuracies.append(round(_mean([hit and right for hit, right in zip(hits, correct, strict=True)]), digits))
    rows = {
        "long-acc.": _mean(correct),
        "mIoU": _mean(ious),
        "rec.@IoU": _mean(recalls),
        "acc.@IoU": _mean(accuracies),
    }
    return {name: round(value, digits) for name, value in rows.items()}


def deveqa(
    preds: Sequence[Window | None], truths: Sequence[Window | None], correct: Sequence[bool]
) -> dict[str, float]:
    """DeVE-QA: `Acc@QA`, `mIoP`, `IoP@0.5`, `mIoU`, `IoU@0.5` and `Acc@GQA`, which asks for the answer and IoP 0.5.

    Unlike in NExT-GQA a missing prediction, None, counts 0, and so does a question without a true window; the IoP of a
    window without length is 0 (github.com/QHUni/DeVE-QA, method/devi/eval.py).  As there, windows begin at 0 at the
    earliest and one that ends before it starts has no length.
    """
    items = [
        (_ordered(pred) if pred is not None else None, [_ordered(true)] if true is not None else [], right)
        for pred, true, right in zip(preds, truths, correct, strict=True)
    ]
    ious, iops = _best(items, iou), _best(items, partial(iop, protocol="videomind"))
    return {
        "Acc@QA": _mean(correct),
        "mIoP": _mean(iops),
        "IoP@0.5": _mean([value >= 0.5 for value in iops]),
        "mIoU": _mean(ious),
        "IoU@0.5": _mean([value >= 0.5 for value in ious]),
        "Acc@GQA": _mean([right and value >= 0.5 for value, right in zip(iops, correct, strict=True)]),
    }


def qa_ego4d(preds: Sequence[Sequence[Window]], truths: Sequence[Window], correct: Sequence[bool]) -> dict[str, float]:
    """QA-Ego4D with options: `accuracy`, the rows of `ego4d_nlq`, and `Mean_R1`, the mean of R1 at 0.3 and at 0.5.

    After GroundVQA (github.com/Becomebright/GroundVQA, model/ours/lightning_module.py and eval_nlq.py), where an
    answer is right when it equals the option's text.
    """
    rows = ego4d_nlq(preds, truths)
    return {"accuracy": _mean(correct), **rows, "Mean_R1": (rows["R1@0.3"] + rows["R1@0.5"]) / 2}


def _best(items: Sequence[tuple[Window | None, Sequence[Window], bool]], measure: Measure) -> list[float]:
    """The value of each item's window on the true window that is best for it; 0 without a window."""
    return [best_iou([pred] if pred is not None else [], true, measure) for pred, true, _ in items]


def _ordered(window: Window) -> Window:
    start = max(0.0, window[0])
    return start, max(start, window[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
