import pytest

from merv.errors import ConfigError
from merv.evaluation.metrics.grounded_qa import cgbench, denormalised, deveqa, nextgqa, qa_ego4d, rextime
from merv.evaluation.metrics.videomind import first_letter

from .pairs import fractions, genuine, ours, percent, read, read_lines, windows

NEXTGQA = ["plain", "missing_and_degenerate", "normalised_gs"]


def window(value):
    return None if value is None else (value[0], value[1])


@pytest.mark.parametrize("folder", NEXTGQA)
def test_nextgqa_equals_the_official_evaluator_to_the_last_digit(folder):
    pair = genuine("nextgqa", folder)
    official, answers = read(pair / "metrics.json"), read(pair / "pred_qa.json")
    grounded = read(pair / "pred_ground.json")
    preds, truths, correct = [], [], []
    for video, notes in read(pair / "gsub.json").items():
        for question, spans in notes["location"].items():
            pred = window(grounded.get(f"{video}_{question}"))
            preds.append(denormalised(pred, notes["duration"]) if pred and official["gs"] else pred)
            truths.append(windows(spans))
            answer = answers.get(f"{video}_{question}", {"answer": 0, "prediction": None})
            correct.append(answer["answer"] == answer["prediction"])

    rows = nextgqa(preds, truths, correct, missing="skip")

    assert percent(rows, 1) == official["metrics_1digit"]
    assert percent(rows, 10) == official["metrics_10digits"]
    without = nextgqa(preds, truths, [False] * len(preds), missing="skip")
    assert percent(without, 10) == official["metrics_10digits_without_qa"]


@pytest.mark.parametrize("folder", ["grounding_only", "grounding_vqa", "vqa_only"])
def test_rextime_equals_the_official_evaluator_to_the_last_digit(folder):
    pair = genuine("rextime", folder)
    official = read(pair / "metrics.json")

    rows = rextime(read_lines(pair / "preds.jsonl"), read_lines(pair / "gt.jsonl"))

    # The script prints the accuracies as shares, in full, and what it has of windows as percent of 2 digits.
    full = official.get("full", {})
    shares = {"VQA": official.get("VQA"), **full.get("VQA,mIoU", {})}
    assert {name: value for name, value in rows.items() if "VQA" in name} == {k: v for k, v in shares.items() if v}
    expected = {f"MR-full-R1@{step}": value for step, value in full.get("MR-R1", {}).items()}
    expected |= {"MR-full-mIoU": full["MR-mIoU"]} if full else {}
    assert percent({name: value for name, value in rows.items() if "VQA" not in name}, 2) == expected


@pytest.mark.parametrize(
    ("table", "protocol"), [("nextgqa", "official"), ("nextgqa", "videomind"), ("nextgqa", "skip"), ("deveqa", "")]
)
def test_one_window_per_question_equals_the_recorded_rows(table, protocol):
    pair = ours("grounded_qa")[table]
    preds = [window(item["pred"]) for item in pair["items"]]
    correct = [item["correct"] for item in pair["items"]]

    if table == "deveqa":
        rows = deveqa(preds, [window(item["truth"]) for item in pair["items"]], correct)
    else:
        truths = [windows(item["truth"]) for item in pair["items"]]
        options = {"missing": "skip"} if protocol == "skip" else {"protocol": protocol}
        rows = nextgqa(preds, truths, correct, **options)

    assert rows == pytest.approx(fractions(pair[protocol or "rows"]), rel=1e-14)


@pytest.mark.parametrize("protocol", ["official", "videomind"])
def test_cgbench_equals_the_recorded_rows(protocol):
    pair = ours("grounded_qa")["cgbench"]
    preds = [windows(item["preds"]) for item in pair["items"]]
    truths = [windows(item["truth"]) for item in pair["items"]]

    rows = cgbench(preds, truths, [item["correct"] for item in pair["items"]], protocol=protocol)

    assert rows == pytest.approx(fractions(pair[protocol]), rel=1e-14)


def test_cgbench_of_videomind_equals_its_table():
    pair = genuine("videomind_eval_auto", "cgbench_top1")
    samples = [sample for path in sorted((pair / "preds").iterdir()) for sample in read(path)]
    letters = [first_letter(sample["response"], len(sample["options"])) for sample in samples]
    correct = [letter == ord(sample["ans"]) - ord("A") for letter, sample in zip(letters, samples, strict=True)]

    rows = cgbench(
        [windows(sample["pred"][:1]) for sample in samples],
        [windows(sample["span"]) for sample in samples],
        correct,
        protocol="videomind",
    )

    tables = read(pair / "metrics.json")["tables_2digits"]
    table = tables["Grounding (IoU)"][-1] | tables["QA"][-1]
    assert percent(rows, 2) == {name: table[name] for name in rows}


def test_cgbench_rounds_each_threshold_before_the_mean_as_the_official_code_does():
    rows = cgbench([[(0, 1)], [(5, 6)], [(5, 6)]], [[(0, 1)]] * 3, [True] * 3)

    assert rows["rec.@IoU"] == 0.3333
    assert rows["long-acc."] == 1.0


def test_rextime_counts_a_reply_without_window_or_letter_as_wrong():
    truths = [{"qid": qid, "ans": "A", "relevant_windows": [[0, 10]]} for qid in "xyz"]
    predictions = [
        {"qid": "x", "ans": "A", "pred_relevant_windows": [[0, 10, 0.5]]},
        {"qid": "y", "ans": "A", "pred_relevant_windows": []},
        {"qid": "z", "pred_relevant_windows": [[0, 10]]},
    ]

    rows = rextime(predictions, truths)

    assert rows["VQA"] == rows["MR-full-mIoU"] == rows["MR-full-R1@0.95"] == pytest.approx(2 / 3)
    assert rows["VQA,mIoU@0.5"] == pytest.approx(1 / 3)


def test_rextime_refuses_predictions_of_other_questions():
    with pytest.raises(ConfigError, match="0 predicted only, 1 without a prediction, such as `b`"):
        rextime([{"qid": "a", "ans": "A"}], [{"qid": "a", "ans": "A"}, {"qid": "b", "ans": "B"}])


def test_qa_ego4d_adds_the_answers_to_the_queries():
    rows = qa_ego4d([[(0, 8)], [(0, 20)]], [(0, 20), (0, 20)], [True, False])

    assert rows["accuracy"] == 0.5
    assert (rows["R1@0.3"], rows["R1@0.5"], rows["Mean_R1"]) == (1.0, 0.5, 0.75)
    assert rows["mIoU"] == pytest.approx(0.7)


def test_rows_of_nothing_are_zero():
    assert set(nextgqa([], [], []).values()) == {0.0}
    assert set(deveqa([], [], []).values()) == {0.0}
    assert set(cgbench([], [], []).values()) == {0.0}
