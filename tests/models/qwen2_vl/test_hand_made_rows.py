"""Rows that no reader of files has checked: what is wrong with them is said in one line."""

import math
from pathlib import Path

import pytest

from merv.data.sample import Sample, Turn
from merv.errors import SampleError
from merv.models.qwen2_vl.roles import ROLES, query_of
from merv.video.media import MediaRef

from .role_rows import OPTIONS, choosing, grounding, judging, role_model, sample

CLIP = MediaRef(Path("clip.mp4"))
HALF = "a \ud83d dog"


@pytest.fixture(scope="module")
def processor():
    return role_model("grounder").processor


def refusal(role, row):
    with pytest.raises(SampleError) as caught:
        ROLES[role].request(row, "short")
    line = str(caught.value)
    assert "\n" not in line
    line.encode()  # it goes into a file
    return line


def asked_to_choose(**meta):
    question = (Turn("user", "What is seen?"), Turn("assistant", "a ring"))
    return Sample("a", question, meta={"task": "choice", "question": "What is seen?", "options": OPTIONS, **meta})


@pytest.mark.parametrize("answer", [2, -1, "B", 1.0, True, [1]])
def test_an_answer_that_is_no_place_among_the_options_is_refused(answer):
    line = f"the right option is {answer!r} of 2; expected its number, from 0"

    assert refusal("answerer", asked_to_choose(answer=answer)) == line
    assert refusal("gqa", choosing(CLIP, (1.0, 2.0), answer=answer)) == line


@pytest.mark.parametrize(
    "candidate", [5, "1-2", (1.0,), (1.0, 2.0, 3.0), ("1", "2"), (1.0, None), (0.0, math.nan), {"start": 1, "end": 2}]
)
def test_a_candidate_that_is_no_pair_of_seconds_is_refused(candidate):
    line = refusal("verifier", judging(CLIP, candidate, 10.0))

    assert line == f"candidate: found {candidate!r}; expected start and end in seconds"


@pytest.mark.parametrize("window", [5, "1-2", (1.0,), (1.0, 2.0, 3.0), ("1", "2"), (1.0, None), (0.0, math.inf)])
@pytest.mark.parametrize("role", ["grounder", "gqa"])
def test_a_window_that_is_no_pair_of_seconds_is_refused(role, window):
    row = {"grounder": grounding, "gqa": choosing}[role](CLIP, (1.0, 2.0), window, **_answered(role))

    assert refusal(role, row) == f"window: found {window!r}; expected start and end in seconds"


def _answered(role):
    return {"answer": 0} if role == "gqa" else {}


@pytest.mark.parametrize("windows", [5, 0, "1-2", {"start": 1}])
def test_windows_that_are_no_list_are_refused(windows):
    line = refusal("grounder", sample(CLIP, query="a ring", windows=windows))

    assert line == f"windows: found {windows!r}; expected a list of pairs, start and end in seconds"


@pytest.mark.parametrize(
    ("window", "line"),
    [
        ((1.0, 1.0), "window 1 - 1 s has no length"),
        ((2.0, 1.5), "window 2 - 1.5 s runs backwards"),
        ((-2.0, -1.0), "window -2 - -1 s lies outside"),
    ],
)
def test_nothing_is_learned_from_a_window_without_length_or_in_the_wrong_order(processor, clips, window, line):
    with pytest.raises(SampleError, match=f"^{line}"):
        processor.prepare(grounding(clips["wide"], (0.0, 1.0), window))


def test_who_only_asks_may_hold_the_windows_of_a_benchmark(processor, clips):
    """Ego4D's has some without length; they are what an answer is measured by."""
    example = processor.prepare(grounding(clips["wide"], (1.0, 1.0)), answer=False)

    assert example.moments is None


@pytest.mark.parametrize(
    ("role", "row"),
    [
        ("grounder", sample(CLIP, query=HALF)),
        ("planner", sample(CLIP, question="What?", plan=[{"type": "grounder", "value": HALF}])),
        ("gqa", sample(CLIP, question="What?", options=[HALF, "a"])),
        ("answerer", Sample("a", (Turn("user", HALF),))),
    ],
)
def test_half_a_character_is_refused(role, row):
    assert refusal(role, row) == r"the text holds '\ud83d', half a character, which no file can hold; take it out"


def test_whole_characters_are_words():
    assert query_of(sample(CLIP, query="a \U0001f436 dog"), "query") == "a \U0001f436 dog"
