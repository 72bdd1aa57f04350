import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.data.role_samples import (
    candidate_row,
    choice_row,
    grounded_choice_row,
    moment_row,
    plan_row,
    tidy_query,
    usable_windows,
)
from merv.errors import SampleError
from merv.evaluation.span_parsing import parse_spans
from merv.video.media import MediaRef

CLIP = MediaRef(Path("a.mp4"))
TIMES = st.floats(-100, 200)


def said(sample):
    return [(turn.role, turn.text) for turn in sample.turns]


def test_a_query_that_asks_gets_no_second_mark():
    assert moment_row("q", "Who runs?", [(1, 2)], 30, CLIP).turns[0].text.endswith(": Who runs?")


def test_a_moment_row_names_the_seconds_and_keeps_them_exactly():
    row = moment_row("q1", " A dog\n runs. ", [[3, 5.25], (7.5, 9)], 30, CLIP)

    assert said(row) == [
        ("user", "When does this happen in the video: A dog runs?"),
        ("assistant", "3.0 - 5.2, 7.5 - 9.0 seconds"),
    ]
    assert row.id == "q1"
    assert row.media == (CLIP,)
    assert row.meta == {
        "task": "moment",
        "query": "A dog runs",
        "windows": [(3.0, 5.25), (7.5, 9.0)],
        "duration": 30.0,
    }


@given(windows=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 40)), min_size=1, max_size=4, unique=True))
def test_an_evaluator_reads_the_seconds_of_a_moment_row_back(windows):
    spans = [(float(start), float(start + length)) for start, length in windows]

    row = moment_row("a", "x", spans, 100, CLIP)

    assert parse_spans(row.turns[-1].text, 100) == spans


@pytest.mark.parametrize(("positive", "answer"), [(True, "Yes."), (False, "No.")])
def test_a_candidate_row_is_answered_yes_or_no(positive, answer):
    row = candidate_row("a", "A dog runs.", (-1, 31), positive, 30.0, [CLIP])

    assert said(row) == [
        ("user", "Does the video from 0.0 to 30.0 seconds show exactly this: A dog runs? Answer Yes or No."),
        ("assistant", answer),
    ]
    assert row.meta == {
        "task": "candidate",
        "query": "A dog runs",
        "candidate": (0.0, 30.0),
        "positive": positive,
        "duration": 30.0,
    }


@pytest.mark.parametrize("candidate", [(0, 0), (30, 31), (40, 40), (-5, -2)])
def test_a_candidate_may_have_no_length_or_lie_outside(candidate):
    start, end = candidate_row("a", "x", candidate, False, 30, CLIP).meta["candidate"]

    assert 0 <= start <= end <= 30


def test_a_plan_row_is_answered_with_json():
    plan = [{"type": "grounder", "value": 'the "red" café'}, {"type": "verifier"}]

    row = plan_row("a", "Where?", plan, CLIP)

    assert json.loads(row.turns[-1].text) == plan
    assert "café" in row.turns[-1].text
    assert row.meta == {"task": "plan", "question": "Where?", "plan": plan}
    assert plan_row("a", "Where?", plan, CLIP, 12).meta["duration"] == 12.0


def test_a_choice_row_shows_its_options_and_answers_with_a_text():
    row = choice_row("a", "Who?", ["a dog ", "two\ncats"], 1, CLIP, windows=[(-1, 9)])

    assert said(row) == [("user", "Who? Options: (A) a dog (B) two cats"), ("assistant", "two cats")]
    assert row.meta == {
        "task": "choice",
        "question": "Who?",
        "options": ["a dog", "two cats"],
        "answer": 1,
        "windows": [(0.0, 9.0)],
        "cut_windows": 1,
    }


def test_a_grounded_choice_row_asks_for_the_moment_and_the_answer():
    row = grounded_choice_row("a", "Who?", ["dog", "cat"], 0, [(1, 2)], 9, CLIP)

    assert said(row) == [
        ("user", "Give the moment in seconds, then the answer. Who? Options: (A) dog (B) cat"),
        ("assistant", "1.0 - 2.0 seconds: dog"),
    ]
    assert row.meta["task"] == "grounded-choice"
    assert (row.meta["windows"], row.meta["duration"], row.meta["answer"]) == ([(1.0, 2.0)], 9.0, 0)


@given(windows=st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=5))
def test_usable_windows_lie_in_the_video_and_have_length(windows):
    try:
        found = usable_windows(windows, 60.0)
    except SampleError:
        assert any(start >= end or end <= 0 or start >= 60 for start, end in windows)
        return

    assert len(found) == len(windows)
    assert all(0 <= start < end <= 60 for start, end in found)


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ([], "no window says when it happens"),
        (None, "no window says when it happens"),
        ([(4, 4)], "window 4 - 4 s has no length"),
        ([(1, 2), (5, 4)], "window 5 - 4 s runs backwards"),
        ([(30, 31)], "window 30 - 31 s lies outside the video of 30 s"),
        ([(-3, 0)], "window -3 - 0 s lies outside the video of 30 s"),
        ([3, 4], "window: found 3; expected start and end in seconds"),
        ([(1, math.nan)], "window: found .*nan.; expected start and end"),
        ([("1", "2")], "window: found .*; expected start and end"),
        ([(1, 2, 3)], "window: found .*; expected start and end"),
        ([None], "window: found None; expected start and end"),
    ],
)
def test_windows_that_say_nothing_true_are_refused(windows, reason):
    with pytest.raises(SampleError, match=reason):
        moment_row("a", "x", windows, 30, CLIP)


@pytest.mark.parametrize(
    ("duration", "reason"),
    [
        (None, "no duration of the video"),
        (0, "found 0; expected seconds above 0"),
        (-1.0, "found -1.0"),
        ("30", "found '30'"),
        (math.inf, "found inf"),
        (True, "found True"),
    ],
)
def test_a_row_about_seconds_needs_a_duration(duration, reason):
    with pytest.raises(SampleError, match=reason):
        moment_row("a", "x", [(1, 2)], duration, CLIP)
    with pytest.raises(SampleError, match=reason):
        candidate_row("a", "x", (1, 2), True, duration, CLIP)
    with pytest.raises(SampleError, match=reason):
        grounded_choice_row("a", "x", ["a", "b"], 0, [(1, 2)], duration, CLIP)


def test_a_candidate_that_runs_backwards_is_refused():
    with pytest.raises(SampleError, match="candidate 5 - 4 s runs backwards"):
        candidate_row("a", "x", (5, 4), True, 30, CLIP)


@pytest.mark.parametrize("plan", [[], [{"value": "x"}], [{"type": 3}]])
def test_a_plan_without_roles_is_refused(plan):
    with pytest.raises(SampleError, match=r"plan \[.*\]: expected at least one step"):
        plan_row("a", "Where?", plan, CLIP)


@pytest.mark.parametrize(
    ("options", "answer", "reason"),
    [
        (["a"], 0, "1 options; expected 2 to 26"),
        (["a"] * 27, 0, "27 options"),
        (["a", "b"], 2, "answer 2 is no place among 2 options"),
        (["a", "b"], -1, "answer -1"),
        (["a", "b"], True, "answer True"),
        (["a", "b"], "A", "answer 'A'"),
    ],
)
def test_options_without_the_answer_are_refused(options, answer, reason):
    with pytest.raises(SampleError, match=reason):
        choice_row("a", "Who?", options, answer, CLIP)


@pytest.mark.parametrize("text", ["", " . ", "..."])
def test_rows_that_ask_nothing_are_refused(text):
    with pytest.raises(SampleError, match=r"query: found .*; expected words"):
        moment_row("a", text, [(1, 2)], 30, CLIP)
    with pytest.raises(SampleError, match="question: found '  '; expected words"):
        plan_row("a", "  ", [{"type": "answerer"}], CLIP)


@pytest.mark.parametrize(
    ("text", "tidy"), [("a  b\nc.", "a b c"), (" ...Go. ", "Go"), ("at 5 p.m. he", "at 5 p.m. he")]
)
def test_a_query_is_one_line_without_the_full_stop(text, tidy):
    assert tidy_query(text) == tidy
