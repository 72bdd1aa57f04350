"""Accuracies of answers: plain, by group, and as NExT-QA, MLVU and ActivityNet-QA tabulate them; all are 0..1."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal, TypeVar

Key = TypeVar("Key", str, int)

NEXTQA_NAMES = {
    "CW": "Why",
    "CH": "How",
    "TN": "Bef&Aft",
    "TC": "When",
    "DC": "Cnt",
    "DL": "Loc",
    "DO": "Other",
    "C": "Acc_C",
    "T": "Acc_T",
    "D": "Acc_D",
}
"""Rows of NExT-QA's table by question type; the last three are causal, temporal and descriptive ones together."""

ACTIVITYNET_NAMES = (
    "Motion",
    "Spatial Relation",
    "Temporal Relation",
    "Yes/No",
    "Color",
    "Object",
    "Location",
    "Number",
    "Other",
)
"""Rows of ActivityNet-QA's table by type 0..8; those from Yes/No on are the free questions."""


def accuracy(correct: Sequence[bool]) -> float:
    """Share of right answers; 0 without any.  An answer that could not be read is False."""
    return sum(correct) / len(correct) if correct else 0.0


def grouped_accuracy(correct: Sequence[bool], groups: Sequence[str]) -> dict[str, float]:
    """`accuracy` over all, `accuracy/{group}` of each, and `mean`, that of the groups however large they are.

    `mean` is MLVU's M-Avg (github.com/JUNJIE99/MLVU, evaluation/eval.md), over its types of tasks.
    """
    by_group = _split(correct, groups)
    means = {group: accuracy(values) for group, values in sorted(by_group.items())}
    return {
        "accuracy": accuracy(correct),
        "mean": sum(means.values()) / len(means) if means else 0.0,
        **{f"accuracy/{group}": value for group, value in means.items()},
    }


def nextqa_groups(correct: Sequence[bool], types: Sequence[str]) -> dict[str, float]:
    """NExT-QA's table: `Why`, `How`, `Bef&Aft`, `When`, `Cnt`, `Loc`, `Other`, `Acc_C`, `Acc_T`, `Acc_D` and `Acc`.

    Types are CW, CH, TN, TC, TP, DC, DL and DO.  Trap: TP (before) counts as TN (after); there is no row of its own
    (github.com/doc-doc/NExT-QA, eval_mc.py).  A row without questions, where the script divides by zero, is left out.
    """
    merged = ["TN" if kind == "TP" else kind for kind in types]
    by_type = _split(correct, merged) | _split(correct, [kind[0] for kind in merged])
    rows = {name: accuracy(by_type[kind]) for kind, name in NEXTQA_NAMES.items() if kind in by_type}
    return rows | {"Acc": accuracy(correct)}


def activitynet_qa(
    answers: Sequence[str | None],
    truths: Sequence[str],
    types: Sequence[int],
    *,
    protocol: Literal["official", "corrected"] = "official",
) -> dict[str, float]:
    """ActivityNet-QA by exact string: one row for each type, `Free` for types 3 to 8, and `All`.

    An answer counts when it is the same string, letter by letter; None is wrong.  Trap (github.com/MILVLG/
    activitynet-qa, evaluation/eval.py): the official `Free` divides by the questions of the types that appear fourth
    and later in the annotation file, so that it hangs on the file's order and can pass 1; items must come in that
    order.  `corrected` divides by the free questions.  A row without questions is left out.
    """
    correct = [answer == truth for answer, truth in zip(answers, truths, strict=True)]
    by_type = _split(correct, types)
    rows = {ACTIVITYNET_NAMES[kind]: accuracy(values) for kind, values in sorted(by_type.items())}
    counts = Counter(types)
    # A Counter keeps the order of first appearance, as the official dict does.
    free = list(counts)[3:] if protocol == "official" else [kind for kind in counts if kind >= 3]
    if asked := sum(counts[kind] for kind in free):
        rows["Free"] = sum(sum(values) for kind, values in by_type.items() if kind >= 3) / asked
    return rows | {"All": accuracy(correct)}


def _split(correct: Sequence[bool], keys: Sequence[Key]) -> dict[Key, list[bool]]:
    groups: defaultdict[Key, list[bool]] = defaultdict(list)
    for right, key in zip(correct, keys, strict=True):
        groups[key].append(right)
    return dict(groups)
