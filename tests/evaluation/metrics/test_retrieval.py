import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merv.errors import ConfigError
from merv.evaluation.metrics.retrieval import average_precisions, qvhighlights, saliency_ap

from . import second
from .pairs import fractions, genuine, ours, percent, read, read_lines

FOLDERS = [
    "official_sample",
    "random_hl_only",
    "random_many",
    "random_mr_only",
    "random_plain",
    "random_ties",
    "random_vm",
]


def flat(official):
    """The nested file of an official evaluator as rows."""
    rows = dict(official["brief"])
    for group, values in official.items():
        for name, value in values.items() if group != "brief" else ():
            kind = name.split("-")[1]
            row = f"{group}-{kind}" if group.startswith("HL") else f"MR-{group}-{kind}"
            steps = value if isinstance(value, dict) else {"average": value}
            rows |= {row if step == "average" else f"{row}@{step}": number for step, number in steps.items()}
    return rows


@pytest.mark.parametrize("folder", FOLDERS)
def test_qvhighlights_equals_moment_detr_to_the_last_digit(folder):
    pair = genuine("qvhighlights", folder)

    rows = qvhighlights(read_lines(pair / "preds.jsonl"), read_lines(pair / "gt.jsonl"))

    assert percent(rows, 2) == flat(read(pair / "metrics_moment_detr.json"))
    assert percent(rows, 10) == flat(read(pair / "metrics_moment_detr_10digits.json"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_qvhighlights_equals_videomind_to_the_last_digit(folder):
    pair = genuine("qvhighlights", folder)

    rows = qvhighlights(read_lines(pair / "preds.jsonl"), read_lines(pair / "gt.jsonl"), protocol="videomind")

    assert percent(rows, 2) == flat(read(pair / "metrics_videomind_eval_qvhighlights.json"))


def test_qvhighlights_equals_the_metrics_shipped_with_the_sample():
    pair = genuine("qvhighlights", "official_sample")

    rows = qvhighlights(read_lines(pair / "preds.jsonl"), read_lines(pair / "gt.jsonl"))

    assert percent(rows, 2) == flat(read(pair / "metrics_upstream_shipped.json"))


@pytest.mark.parametrize("protocol", ["official", "videomind"])
def test_qvhighlights_equals_the_recorded_rows_and_a_second_implementation(protocol):
    pair = ours("qvhighlights")

    rows = qvhighlights(pair["predictions"], pair["truths"], protocol=protocol)

    assert rows == pytest.approx(fractions(pair[protocol]), rel=1e-14)
    exact = second.qvhighlights(pair["predictions"], pair["truths"], protocol)
    assert {name: str(value) for name, value in exact.items()} == pair[protocol]


SPANS = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda pair: [pair[0], pair[0] + pair[1]])


@settings(max_examples=50)
@given(st.lists(SPANS, min_size=1, max_size=12), st.lists(SPANS, min_size=1, max_size=4), st.randoms())
def test_average_precision_equals_the_second_implementation(preds, truths, random):
    # Scores differ and so do the values of a window on the true ones, so that the order is not a choice.
    scored = [[*pred, score] for pred, score in zip(preds, random.sample(range(100), len(preds)), strict=True)]
    if any(len({second.iou(pred, truth) for truth in truths}) < len(truths) for pred in preds):
        truths = truths[:1]

    values = average_precisions(scored, truths)

    exact = [second.average_precision(scored, truths, threshold) for threshold in second.steps("0.5")]
    assert values == pytest.approx([float(value) for value in exact], rel=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-2, 3), st.booleans()), min_size=1, max_size=20))
def test_saliency_precision_equals_the_second_implementation(clips):
    scores, marked = [float(score) for score, _ in clips], [mark for _, mark in clips]

    value = saliency_ap(np.array(scores), np.array(marked))

    assert value == pytest.approx(float(second.saliency_precision(scores, marked)), rel=1e-12)


def one(windows, truth=((0, 20),), scores=(1.0, 0.0), clips=((0, (4, 0, 0)),), duration=4):
    predictions = [{"qid": 1, "pred_relevant_windows": windows, "pred_saliency_scores": list(scores)}]
    truths = [
        {
            "qid": 1,
            "duration": duration,
            "relevant_windows": [list(window) for window in truth],
            "relevant_clip_ids": [clip for clip, _ in clips],
            "saliency_scores": [list(values) for _, values in clips],
        }
    ]
    return predictions, truths


def test_r1_takes_the_first_window_and_map_the_scores():
    rows = qvhighlights(*one([[50, 60, 0.1], [0, 20, 0.9]]))

    assert rows["MR-full-R1@0.5"] == 0.0
    assert rows["MR-full-mAP"] == 1.0


def test_map_ignores_windows_after_the_tenth():
    wrong = [[50, 60, 0.1]] * 10

    assert qvhighlights(*one([*wrong, [0, 20, 0.9]]))["MR-full-mAP"] == 0.0
    assert qvhighlights(*one([*wrong[:9], [0, 20, 0.9]]))["MR-full-mAP"] == 1.0


def test_two_windows_on_one_true_window_are_one_hit():
    rows = qvhighlights(*one([[50, 60, 0.9], [0, 20, 0.8], [0, 20, 0.7]]))

    assert rows["MR-full-mAP"] == pytest.approx(0.5)


def test_a_range_without_windows_has_no_rows_or_with_videomind_those_of_the_whole_set():
    official, videomind = (
        qvhighlights(*one([[0, 20, 1.0]]), protocol=protocol) for protocol in ("official", "videomind")
    )

    assert not [name for name in official if name.startswith(("MR-short", "MR-long"))]
    assert videomind["MR-short-mAP"] == videomind["MR-full-mAP"] == 1.0


def test_windows_longer_than_150_seconds_are_long_only_with_videomind():
    predictions, truths = one([[0, 200, 1.0]], truth=[(0, 200)])

    assert "MR-long-mAP" not in qvhighlights(predictions, truths)
    assert qvhighlights(predictions, truths, protocol="videomind")["MR-long-mAP"] == 1.0


def test_a_query_without_windows_or_scores_is_a_miss():
    rows = qvhighlights(*one([], scores=[]))

    assert rows["MR-full-mAP"] == rows["MR-full-R1@0.5"] == rows["HL-min-Fair-Hit1"] == 0.0


def test_hit_at_one_is_the_best_annotator_and_map_their_mean():
    rows = qvhighlights(*one([[0, 20, 1.0]]))

    assert rows["HL-min-VeryGood-Hit1"] == 1.0
    assert rows["HL-min-VeryGood-mAP"] == pytest.approx(1 / 3)


def test_a_highest_score_past_the_video_is_no_hit_and_is_cut_from_map():
    rows = qvhighlights(*one([[0, 20, 1.0]], scores=[1.0, 0.0, 9.0]))

    assert rows["HL-min-VeryGood-Hit1"] == 0.0
    assert rows["HL-min-VeryGood-mAP"] == pytest.approx(1 / 3)


def test_rows_are_those_the_predictions_hold():
    predictions, truths = one([[0, 20, 1.0]])
    del predictions[0]["pred_saliency_scores"]

    assert not [name for name in qvhighlights(predictions, truths) if name.startswith("HL")]


def test_predictions_of_other_queries_are_refused():
    predictions, truths = one([[0, 20, 1.0]])

    with pytest.raises(ConfigError, match="1 predicted only, 1 without a prediction, such as `1`"):
        qvhighlights([{**predictions[0], "qid": 7}], truths)
    with pytest.raises(ConfigError, match="such as `none at all`"):
        qvhighlights([], [])
