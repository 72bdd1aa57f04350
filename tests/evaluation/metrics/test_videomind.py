import pytest

from merv.evaluation.metrics.videomind import eval_auto, first_letter

from .pairs import fractions, genuine, ours, percent, read

FOLDERS = [
    "cgbench_conf_thr",
    "cgbench_top1",
    "charades_grounding",
    "lvbench_multitask",
    "mvbench_qa_only",
    "nextgqa_gqa",
    "nextgqa_weird_responses",
]
COUNTS = ("#Samples", "Failed")


def printed(row, digits):
    shares = {name: value for name, value in row.items() if name not in COUNTS}
    return percent(shares, digits) | {name: row[name] for name in COUNTS}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("digits", [2, 10])
def test_tables_equal_the_official_ones_to_the_last_digit(folder, digits):
    pair = genuine("videomind_eval_auto", folder)
    official = read(pair / "metrics.json")
    options = official["args"]
    samples = [sample for path in sorted((pair / "preds").iterdir()) for sample in read(path)]

    tables = eval_auto(samples, cgbench=options["dataset"] == "cgbench", conf_thr=options["conf_thr"] or -1.0)

    expected = official[f"tables_{digits}digits"]
    changes = [line for line in expected.pop("lines") if "Raise" in line or "Lower" in line]
    found = {
        table: [{"Task": task, **printed(row, digits)} for task, row in rows.items()]
        for table, rows in tables.items()
        if table != "Verifier"
    }
    assert found == expected
    counts = tables["Verifier"]["all"]
    assert {" ".join(line.split()[:2]): int(line.split(": ")[1].split()[0]) for line in changes} == {
        name: counts[name] for name in counts if len(changes) == 4 or name.startswith("IoU")
    }


def test_tables_equal_the_recorded_rows():
    pair = ours("videomind")

    plain, cgbench = eval_auto(pair["samples"]), eval_auto(pair["samples"], cgbench=True, conf_thr=0.5)

    for tables, expected in ((plain, pair["plain"]), (cgbench, pair["cgbench"])):
        for table, rows in expected.items():
            assert tables[table]["all"] == pytest.approx(fractions(rows), rel=1e-6), table


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("B", 1),
        ("(C) a cat", 2),
        ("d. dog", 3),
        ("Answer: C", 0),
        ("Best: C", 1),
        ("The answer is C", None),
        ("[B]", None),
        ("1. first", None),
        ("E", None),
        ("", None),
        (" A", None),
        ("()", None),
    ],
)
def test_the_letter_is_the_first_of_the_first_word(text, index):
    assert first_letter(text, 4) == index


def test_a_sample_of_several_tasks_counts_in_each_and_once_in_all():
    sample = {"task": ["count", "order"], "question": "?", "options": ["x", "y"], "ans": "A", "response": "A"}

    table = eval_auto([sample])["QA"]

    assert [(task, row["#Samples"]) for task, row in table.items()] == [("count", 1), ("order", 1), ("all", 1)]


def test_an_empty_list_of_windows_is_a_miss():
    row = eval_auto([{"pred": [], "conf": [], "span": [[0, 4]]}])["Grounding (IoU)"]["all"]

    assert row["#Samples"] == 1
    assert row["mIoU"] == row["R5@0.3"] == 0.0


def test_tables_of_nothing_are_zero():
    tables = eval_auto([])

    assert set(tables["Grounding (IoP)"]["all"].values()) == set(tables["QA"]["all"].values()) == {0}
