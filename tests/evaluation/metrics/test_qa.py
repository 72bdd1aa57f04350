import csv

import pytest

from merv.evaluation.metrics.qa import accuracy, activitynet_qa, grouped_accuracy, nextqa_groups

from .pairs import fractions, genuine, ours, percent, read


@pytest.mark.parametrize("folder", ["random_val", "random_test"])
def test_nextqa_equals_the_official_evaluator_to_the_last_digit(folder):
    pair = genuine("nextqa", folder)
    official, preds = read(pair / "metrics.json"), read(pair / "preds.json")
    rows = list(csv.DictReader((pair / "anno.csv").open()))
    answers = [preds[f"{row['video']}_{row['qid']}"] for row in rows]

    table = nextqa_groups([a["answer"] == a["prediction"] for a in answers], [row["type"] for row in rows])

    assert percent(table, 2) == official["metrics_2digits"]
    assert percent(table, 10) == official["metrics_10digits"]


def test_activitynet_equals_the_official_evaluator_to_the_last_digit():
    pair = genuine("activitynet_qa")
    truths = read(pair / "gt_a.json")
    said = {row["question_id"]: row["answer"] for row in read(pair / "preds.json")}

    rows = activitynet_qa(
        [said.get(row["question_id"]) for row in truths],
        [row["answer"] for row in truths],
        [row["type"] for row in truths],
    )

    assert {name: float(f"{value:.4f}") for name, value in rows.items()} == read(pair / "metrics.json")["metrics"]


def test_nextqa_equals_the_recorded_rows():
    pair = ours("qa")["nextqa"]

    rows = nextqa_groups([right for _, right in pair["items"]], [kind for kind, _ in pair["items"]])

    assert rows == pytest.approx(fractions(pair["rows"]))


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_activitynet_equals_the_recorded_rows(protocol):
    pair = ours("qa")["activitynet"]
    kinds, truths, answers = zip(*pair["items"], strict=True)

    rows = activitynet_qa(answers, truths, kinds, protocol=protocol)

    assert rows == pytest.approx(fractions(pair[protocol]))


def test_the_mean_of_groups_weighs_small_groups_like_large_ones():
    rows = grouped_accuracy([True, True, True, False], ["count", "count", "count", "order"])

    assert rows == {"accuracy": 0.75, "mean": 0.5, "accuracy/count": 1.0, "accuracy/order": 0.0}


def test_accuracies_of_nothing_are_zero():
    assert accuracy([]) == 0.0
    assert grouped_accuracy([], []) == {"accuracy": 0.0, "mean": 0.0}
    assert nextqa_groups([], []) == {"Acc": 0.0}
    assert activitynet_qa([], [], []) == {"All": 0.0}
