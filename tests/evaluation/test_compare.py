import json
from dataclasses import asdict

import pytest

from merv.errors import ConfigError
from merv.evaluation.compare import MAX_KINDS, compare, table
from merv.evaluation.runner import evaluate

from .fakes import RuleLM, right_unless_big, toy_task
from .folders import write_evaluation


def pair(tmp_path, a, b, **card):
    return write_evaluation(tmp_path / "a", a), write_evaluation(tmp_path / "b", b, **card)


def named(comparison):
    return {row.score: row for row in comparison.differences}


def test_differences_are_paired_over_items_and_kinds(tmp_path):
    a, b = pair(tmp_path, [1, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1])

    rows = named(compare(a, b))

    whole = rows["accuracy"]
    assert (whole.num_items, whole.wins, whole.ties, whole.losses) == (6, 3, 2, 1)
    assert (whole.mean_a, whole.mean_b, whole.difference) == pytest.approx((2 / 6, 4 / 6, 2 / 6))
    assert (whole.test, whole.p) == ("mcnemar", 10 / 16)
    assert whole.low < whole.difference < whole.high
    assert (rows["accuracy/odd"].mean_a, rows["accuracy/odd"].mean_b) == pytest.approx((0.0, 2 / 3))
    assert rows["accuracy/even"].num_items == 3


def test_an_evaluation_differs_from_itself_by_nothing(tmp_path):
    folder = write_evaluation(tmp_path / "a", [{"accuracy": 1, "iou": 0.3}, {"accuracy": 0, "iou": 0.7}])

    comparison = compare(folder, folder)

    assert {row.score for row in comparison.differences} >= {"accuracy", "iou"}
    for row in comparison.differences:
        assert (row.difference, row.low, row.high, row.p) == (0, 0, 0, 1)
        assert (row.wins, row.losses, row.ties) == (0, 0, row.num_items)
    assert (comparison.only_a, comparison.only_b) == (0, 0)


def test_what_two_models_answered_is_compared(tmp_path):
    for name, says in (("a", right_unless_big), ("b", lambda prompt: "no idea")):
        evaluate(RuleLM(says), toy_task(10), batch_size=4, out_dir=tmp_path / name, max_new_tokens=8, num_workers=0)

    comparison = compare(tmp_path / "a", tmp_path / "b")

    row = named(comparison)["accuracy"]
    assert (row.mean_a, row.mean_b, row.losses, row.p) == (0.6, 0.0, 6, 2 / 64)
    assert comparison.totals["unparsed"] == (1, 10)


@pytest.mark.parametrize(
    ("key", "value"),
    [("task", "other"), ("prompts_sha256", "f" * 64), ("parser", "first-letter/1"), ("protocol", "official")],
)
def test_evaluations_of_different_things_are_refused_with_the_first_difference(tmp_path, key, value):
    a, b = pair(tmp_path, [1], [1], **{key: value, "decoder": "other"})

    with pytest.raises(ConfigError, match=rf"{key} is .* in .*a/card.json, {value} in .*b/card.json") as caught:
        compare(a, b)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("frames", [16]), ("resize", "letterbox"), ("decoder", "other"), ("generation", {"max_new_tokens": 9})],
)
def test_what_else_decides_the_numbers_is_warned_of(tmp_path, key, value, caplog):
    a, b = pair(tmp_path, [1], [1], **{key: value})

    assert compare(a, b).num_both == 1

    assert f"{key} differs: " in caplog.text
    assert f"{value} in B" in caplog.text


def test_equal_cards_give_no_warning(tmp_path, caplog):
    compare(*pair(tmp_path, [1], [0]))

    assert caplog.text == ""


def test_items_with_other_names_are_predictions_of_another_task(tmp_path):
    a, b = pair(tmp_path, [1, 0], [1, 0])
    path = b / "predictions.jsonl"
    path.write_text(path.read_text().replace('"q1"', '"video-9"'))

    with pytest.raises(ConfigError, match=r"item 1 is `q1` in .*a and `video-9` in .*b: predictions of another task"):
        compare(a, b)


def test_items_only_one_has_are_counted(tmp_path):
    a, b = pair(tmp_path, [1, 0, 1, 1], [0, 1, 1, 1])
    lines = (a / "predictions.jsonl").read_text().splitlines(keepends=True)
    (a / "predictions.jsonl").write_text("".join(lines[1:]))
    (b / "predictions.jsonl").write_text((b / "predictions.jsonl").read_text()[:-20])  # the process died here

    comparison = compare(a, b)

    assert (comparison.num_both, comparison.only_a, comparison.only_b) == (2, 1, 1)
    assert named(comparison)["accuracy"].wins == 1


def test_no_common_item_is_refused(tmp_path):
    a, b = pair(tmp_path, [1, 0], [1, 0])
    for folder, line in ((a, 0), (b, 1)):
        path = folder / "predictions.jsonl"
        path.write_text(path.read_text().splitlines(keepends=True)[line])

    with pytest.raises(ConfigError, match="no item has an answer in both"):
        compare(a, b)


def test_scores_that_are_no_numbers_are_left_out_and_counted(tmp_path, caplog):
    a, b = pair(tmp_path, [1.0, float("nan"), 0.0], [1.0, 1.0, 1.0])

    comparison = compare(a, b)

    assert comparison.unusable == {"accuracy": 1}
    assert named(comparison)["accuracy"].num_items == 2
    assert "score `accuracy`: 1 items left out" in caplog.text


def test_a_number_that_is_no_mean_over_items_has_no_interval(tmp_path, caplog):
    a, b = pair(tmp_path, [0.0, 0.0], [0.0, 0.0])
    for folder, accuracy in ((a, 0.5), (b, 0.75)):  # as a judge gives it once all answers are there
        path = folder / "results.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "accuracy": accuracy, "mAP": accuracy / 2}))

    comparison = compare(a, b)

    assert comparison.differences == ()
    assert comparison.totals == {"accuracy": (0.5, 0.75), "num_items": (2, 2), "mAP": (0.25, 0.375)}
    assert "score `accuracy`: results.json gives no mean over the items" in caplog.text


def test_a_score_only_one_has_is_not_compared(tmp_path):
    a, b = pair(tmp_path, [{"accuracy": 1, "iou": 0.5}], [{"accuracy": 1, "iop": 0.5}])

    assert set(named(compare(a, b))) == {"accuracy", "accuracy/even"}


def test_many_kinds_get_no_rows_of_their_own(tmp_path):
    kinds = [f"kind {number}" for number in range(MAX_KINDS + 1)]
    scores = [1.0] * len(kinds)
    folder = write_evaluation(tmp_path / "a", scores, kinds=kinds)

    assert set(named(compare(folder, folder))) == {"accuracy"}


def test_the_table_reads_from_a_to_b(tmp_path):
    a, b = pair(tmp_path, [0.0, 0.5], [1.0, 0.5])

    heading, empty, columns, _, *rows = table(compare(a, b)).splitlines()

    assert heading == f"toy: A = {a}, B = {b}; 2 items in both, 0 only in A, 0 only in B; a win is B's"
    assert empty == ""
    assert [cell.strip() for cell in columns.strip("|").split("|")][:5] == ["score", "items", "A", "B", "B - A"]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert cells[0] == ["accuracy", "2", "0.250", "0.750", "0.500", "+0.000 .. +1.000", "1", "1", "1", "0"]
    assert cells[-1][:5] == ["num_items", "-", "2", "2", "0"]


def test_a_comparison_becomes_json(tmp_path):
    comparison = compare(*pair(tmp_path, [1, 0], [0, 1]))

    assert json.loads(json.dumps(asdict(comparison)))["differences"][0]["score"] == "accuracy"
