import pytest

from merv.evaluation.metrics.grounding import ego4d_nlq, mean_best, moment_table, recall_at, timechat_tvg
from merv.evaluation.metrics.spans import iop, tall_iou

from .pairs import fractions, genuine, ours, percent, read, windows

PREDS = [[(0, 10), (5, 15)], [], [(0, 10)]]
TRUTHS = [[(5, 15)], [(0, 4)], [(50, 60), (0, 20)]]


def test_recall_looks_at_the_first_k_windows():
    assert recall_at(PREDS, TRUTHS, 1, 0.5) == pytest.approx(1 / 3)
    assert recall_at(PREDS, TRUTHS, 2, 0.5) == pytest.approx(2 / 3)


def test_recall_of_a_value_at_the_threshold_is_a_hit_unless_strict():
    assert recall_at([[(0, 10)]], [[(0, 20)]], 1, 0.5) == 1.0
    assert recall_at([[(0, 10)]], [[(0, 20)]], 1, 0.5, strict=True) == 0.0


def test_recall_takes_another_measure():
    assert recall_at(PREDS, TRUTHS, 1, 0.5, iop) == pytest.approx(2 / 3)


def test_mean_best_counts_a_missing_window_as_zero():
    assert mean_best([(0, 10), None, (0, 10)], TRUTHS) == pytest.approx((1 / 3 + 0 + 1 / 2) / 3)


def test_mean_best_of_tall_goes_below_zero_for_windows_apart():
    assert mean_best([(0, 10)], [[(30, 40)]], tall_iou) == -0.5


def test_tables_of_nothing_are_zero():
    assert moment_table([], []) == {"R1@0.3": 0.0, "R1@0.5": 0.0, "R1@0.7": 0.0, "mIoU": 0.0}


def test_predictions_and_truths_must_be_of_one_length():
    with pytest.raises(ValueError, match="shorter"):
        recall_at([[(0, 1)]], [], 1, 0.5)


@pytest.mark.parametrize("table", ["moment_table", "ego4d_nlq", "timechat_tvg"])
def test_grounding_equals_the_recorded_rows(table):
    pair = ours("grounding")
    preds = [windows(item["preds"]) for item in pair["items"]]
    truths = windows([item["truth"] for item in pair["items"]])

    rows = {
        "moment_table": lambda: moment_table(preds, [[truth] for truth in truths]),
        "ego4d_nlq": lambda: ego4d_nlq(preds, truths),
        "timechat_tvg": lambda: timechat_tvg(preds, truths),
    }[table]()

    assert rows == pytest.approx(fractions(pair[table]), rel=1e-14)


def test_timechat_equals_the_official_evaluator_on_its_example_predictions():
    folder = genuine("charades_timechat_tvg")
    truths, preds = read(folder / "gt.json")["annotations"], read(folder / "preds.json")

    rows = timechat_tvg(
        [windows(preds[str(row["id"])]["timestamp"]) for row in truths], windows([row["timestamp"] for row in truths])
    )

    expected = read(folder / "metrics.json")["metrics"]
    assert percent(rows, 10) == {f"R1@{threshold}": value for threshold, value in expected.items()}
