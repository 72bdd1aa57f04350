"""What the published parsers make of ugly answers.  The indices are those of the original code, run on these texts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.evaluation import published_parsers as published
from merv.evaluation.parsing import parse_option

GENUINE = Path(__file__).resolve().parents[2] / ".." / "shared" / "realdata" / "golden" / "videomind_eval_auto"
OPTIONS = ["a ring", "the cross", "a red square", "nobody"]
NAMES = (
    "parse_option",
    "reference_option",
    "videomind_option",
    "mvbench_option",
    "mlvu_option",
    "videomme_option",
    "lmms_letter_option",
    "longvideobench_option",
    "lvbench_option",
    "mmmu_option",
    "lmms_mvbench_option",
)
PARSERS = {name: getattr(published, name, parse_option) for name in NAMES}
TABLE = {
    #                                    ours   ref  vmind mvb   mlvu  vmme  lmms  lvb   lvbch mmmu  lmvb
    "A": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "b": (1, 1, 1, 1, None, None, None, None, None, None, 1),
    "C.": (2, 2, 2, 2, None, 2, 2, 2, 2, 2, 2),
    "(B)": (1, None, 1, 1, None, 1, 1, 1, 1, 1, 1),
    "B) the cross": (1, 1, 1, 1, 1, 1, 1, 1, 1, None, 1),
    "(C) a red square": (2, None, 2, 2, None, 2, 2, 2, 2, 2, 2),
    "[B]": (1, None, None, None, None, 1, 1, 1, None, None, 1),
    "Answer: C": (2, 0, 0, None, None, 2, 0, 0, 0, 2, 2),
    "Best answer: C": (2, 1, 1, None, None, 1, 1, 2, 1, 2, 2),
    "The best option is D": (3, None, None, None, None, 3, 3, 3, None, 3, 3),
    "The answer is (C).": (2, None, None, None, None, 2, 2, 2, 2, 2, 2),
    "A person runs": (None, 0, 0, 0, None, 0, 0, 0, 0, 0, 0),
    "It is a red square": (2, None, None, None, None, None, None, None, None, None, 0),
    "I am sure that it is a red square": (2, None, None, None, None, None, None, None, None, 2, 0),
    "Both are wrong, so D": (None, 1, 1, None, None, 1, 1, 1, 1, 3, 3),
    "VISA card": (None, None, None, None, None, 0, 0, 0, None, 0, None),
    "Definitely (B), not (A)": (None, 3, 3, None, None, 3, 3, 3, 1, 0, 1),
    "either A or B": (None, None, None, None, None, 0, 0, 0, None, 1, 0),
    "A\nB": (None, 0, 0, 0, None, 0, 0, 0, 0, 1, 0),
    "E": (None, None, None, None, None, None, None, None, None, None, None),
    "1. first": (None, None, None, None, None, None, None, None, None, None, None),
    "": (None, None, None, None, None, None, None, None, None, None, None),
    "no idea at all, sorry about that, nothing is seen here": (None,) * 11,
}


@pytest.mark.parametrize("text", TABLE)
def test_each_parser_reads_an_ugly_answer_as_its_original_does(text):
    assert {name: parser(text, OPTIONS) for name, parser in PARSERS.items()} == dict(
        zip(NAMES, TABLE[text], strict=True)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("B", 1), ("B.", None), ("b", None), ("(B)", None), (" B", None), ("D", 3), ("E", None), ("", None)],
)
def test_an_exact_letter_is_nothing_but_the_letter(text, expected):
    assert published.exact_letter(text, OPTIONS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", 1),
        ("B.", None),
        ("B. C sits.", 1),
        ("B. C sits", None),
        ("C sits.", 1),
        ("C reads", 0),
        ("C reads. Then C leaves.", None),
        ("A. C reads. Then C leaves.", 0),
    ],
)
def test_egoschema_wants_the_option_to_the_letter(text, expected):
    assert published.lmms_egoschema_option(text, ["C reads. Then C leaves", "C sits."]) == expected


def test_mvbench_takes_no_answer_for_every_answer_and_we_for_none():
    assert published.mvbench_option("", OPTIONS) is None
    assert published.mvbench_option(".", OPTIONS) is None
    assert published.mvbench_option("(a)or(b)", OPTIONS) is None


def test_mmmu_takes_the_last_of_several_and_an_empty_option_for_told():
    assert published.mmmu_option("not a ring but the cross I think", OPTIONS) == 1
    assert published.mmmu_option("nothing of that is to be seen", ["yes", ""]) == 1


def test_lmms_mvbench_joins_what_stands_beside_marks():
    assert published.lmms_mvbench_option("It costs 1,000-B", OPTIONS) is None
    assert published.lmms_mvbench_option("It costs 1000-B", OPTIONS) == 1
    assert published.lmms_mvbench_option("U.S.A", OPTIONS) is None


@pytest.mark.parametrize("name", [*NAMES, "exact_letter", "lmms_egoschema_option"])
@given(text=st.text(max_size=40), options=st.lists(st.text(max_size=8), min_size=2, max_size=5))
def test_any_answer_names_an_option_or_none(name, text, options):
    parser = getattr(published, name, parse_option)

    assert parser(text, options) in {None, *range(len(options))}


@pytest.mark.parametrize("pair", ["nextgqa_weird_responses", "mvbench_qa_only", "lvbench_multitask"])
def test_videomind_s_accuracy_and_failures_are_those_of_its_script(pair):
    folder = GENUINE / pair
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: recorded answers are not part of the project")
    rows = [row for path in sorted((folder / "preds").glob("*.json")) for row in json.loads(path.read_text())]

    read = [published.videomind_option(row["response"], row["options"]) for row in rows]

    official = json.loads((folder / "metrics.json").read_text())["tables_10digits"]["QA"][-1]
    right = sum(index == published.LETTERS.index(row["ans"]) for index, row in zip(read, rows, strict=True))
    assert (len(rows), read.count(None)) == (official["#Samples"], official["Failed"])
    assert round(100 * right / len(rows), 10) == official["Acc"]
