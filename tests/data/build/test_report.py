import pytest

from merv.data.build.blind import Blind
from merv.data.build.report import blind_report, cost_report, lines_of, rows_report, writing_report
from merv.data.build.select import select
from merv.data.build.validate import Question
from merv.data.build.write import Refusal, Written
from merv.endpoint.kept import Tally
from merv.endpoint.usage import Usage

QUESTIONS = [Question(f"What is {number}?", "right", ("a", "b", "c")) for number in range(8)]


def report(blind, tally=None, **options):
    written = Written(10, [(None, question) for question in QUESTIONS], [Refusal("m", 1, "too few options", "{}")] * 3)
    selection = select(QUESTIONS, blind, target=0.2, alpha=0.1, **options)
    check = [Blind(0, 1)] * len(selection.kept)
    return {
        "writing": writing_report(written),
        "cost": {"writer": cost_report(tally or Tally(), [1.0, 2.0])},
        "blind": blind_report(QUESTIONS, blind, selection, check),
    }


def test_writing_is_told_in_numbers():
    assert report([Blind(1, 4)] * 8)["writing"] == {
        "num_moments": 10,
        "num_written": 8,
        "num_without": 2,
        "num_refused": 3,
        "refused": {"too few options": 3},
    }


def test_tokens_are_told_with_replies_that_have_no_count():
    tally = Tally({"a": Usage(1_000_000, 500_000), "b": None}, num_asked=1)

    made = report([Blind(1, 4)] * 8, tally)

    assert made["cost"]["writer"]["cost"] == pytest.approx(2.0)
    assert (
        "writer: 2 replies, 1 of them asked for now; 1000000 + 500000 tokens, 2.0000 in money (1 replies came without "
        "a count)"
    ) in lines_of(made)
    assert "cost" not in cost_report(tally, None)


def test_blind_accuracy_is_told_before_and_after():
    made = report([Blind(4, 4)] * 4 + [Blind(1, 4)] * 4)

    assert [made["blind"][when][0]["accuracy"] for when in ("before", "after", "check")] == [0.625, 0.25, 0]
    assert (made["blind"]["num_dropped"], made["blind"]["goal_not_met"]) == (4, [])
    assert any(line.startswith("4         before  8          0.625") for line in lines_of(made))
    assert not any("above the goal" in line or "name no option" in line for line in lines_of(made))


def test_a_goal_that_is_not_met_is_said():
    made = report([Blind(4, 4)] * 8, min_kept=6)

    assert made["blind"]["goal_not_met"] == [4]
    assert "blind accuracy stays above the goal with 4 options" in lines_of(made)[-1]


def test_a_blind_model_that_names_no_option_proves_nothing_and_that_is_said():
    made = report([Blind(0, 4, ("I see nothing",))] * 8)

    assert made["blind"]["unparsed"] == [{"reply": "I see nothing", "count": 8}]
    assert lines_of(made)[-1].startswith("8 of 32 answers without the video name no option: that is no proof")


def test_places_of_answers_are_counted_by_number_of_options():
    rows = [{"options": ["x", "a", "b"], "answer": "x"}, {"options": ["a", "x", "b"], "answer": "x"}]

    assert rows_report(rows) == {"num_rows": 2, "answer_places": {"3": [1, 1, 0]}}
