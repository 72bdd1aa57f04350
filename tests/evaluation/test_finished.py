import json

import pytest

from merv.errors import ConfigError
from merv.evaluation.finished import read_evaluation
from merv.evaluation.runner import evaluate

from .fakes import RuleLM, right_unless_big, toy_task
from .folders import write_evaluation


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_evaluate_writes_is_read_back(tmp_path):
    evaluate(RuleLM(right_unless_big), toy_task(10), batch_size=4, out_dir=tmp_path, max_new_tokens=8, num_workers=0)

    evaluation = read_evaluation(tmp_path)

    assert evaluation.card["task"] == "toy"
    assert sorted(evaluation.rows) == list(range(10))
    assert [evaluation.score(index, "accuracy") for index in (0, 7)] == [1.0, 0.0]
    assert evaluation.is_mean("accuracy")


@pytest.mark.parametrize("end", ['{"index": 1, "id": "q1", "sco', "{}\n", '{"index": 1, "id": "q1"}\n', "[]\n"])
def test_a_line_that_is_not_whole_is_passed_over_with_its_count(tmp_path, end, caplog):
    folder = write_evaluation(tmp_path / "a", [1.0])
    with (folder / "predictions.jsonl").open("a") as file:
        file.write(end)

    assert sorted(read_evaluation(folder).rows) == [0]

    assert "1 lines are not whole" in caplog.text


@pytest.mark.parametrize("name", ["card.json", "results.json", "predictions.jsonl"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_evaluation(tmp_path / "a", [1.0])
    (folder / name).unlink()

    with pytest.raises(ConfigError, match=rf"{name} is missing"):
        read_evaluation(folder)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("card.json", "{", "is not JSON"),
        ("results.json", "\udcff", "is not JSON"),
        ("card.json", "[]", "holds no object"),
        ("card.json", "{}", "names no task"),
        ("predictions.jsonl", "\n", "holds no answers"),
        ("predictions.jsonl", "{]\n", "holds no answers"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, text, message):
    folder = write_evaluation(tmp_path / "a", [1.0])
    (folder / name).write_text(text, errors="surrogateescape")

    with pytest.raises(ConfigError, match=rf"{name} {message}"):
        read_evaluation(folder)


@pytest.mark.parametrize("name", ["results.json", "predictions.jsonl"])
def test_files_of_two_evaluations_in_one_folder_are_refused(tmp_path, name):
    folder = write_evaluation(tmp_path / "a", [1.0, 0.0])
    text = (folder / name).read_text()
    (folder / name).write_text(text[::-1].replace(f'"{folder}"'[::-1], '"rehto"', 1)[::-1])  # the last one

    with pytest.raises(ConfigError, match=rf"{name} is of another evaluation than card.json"):
        read_evaluation(folder)


@pytest.mark.parametrize(
    ("total", "is_mean"),
    [(0.5, True), (50.0, True), (0.503, True), (0.6, False), (0.0, False), (None, True), (float("nan"), True)],
)
def test_a_score_counts_as_the_number_of_the_results_when_its_mean_is(tmp_path, total, is_mean):
    folder = write_evaluation(tmp_path / "a", [1.0, 0.0])
    change(folder / "results.json", accuracy=total)

    assert read_evaluation(folder).is_mean("accuracy") is is_mean


def test_a_lost_line_may_move_the_mean(tmp_path):
    folder = write_evaluation(tmp_path / "a", [1.0, 1.0, 1.0, 0.0])
    lines = (folder / "predictions.jsonl").read_text().splitlines(keepends=True)
    (folder / "predictions.jsonl").write_text("".join(lines[:3]))

    assert read_evaluation(folder).is_mean("accuracy")


def test_a_score_that_is_no_finite_number_is_none(tmp_path):
    folder = write_evaluation(tmp_path / "a", [{"accuracy": float("nan"), "iou": float("inf"), "ok": 1}])

    evaluation = read_evaluation(folder)

    assert [evaluation.score(0, name) for name in ("accuracy", "iou", "ok", "other")] == [None, None, 1.0, None]
    assert not evaluation.is_mean("accuracy")
