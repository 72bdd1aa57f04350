import json
from dataclasses import replace
from pathlib import Path

import pytest

from merv.data.sample import Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.models.qwen2_vl.roles import PIXELS, ROLES, query_of, role_called
from merv.models.qwen2_vl.tokens import REG, RESERVED
from merv.video.media import MediaRef

from .role_rows import choosing, grounding, judging, sample, talk

CLIP = MediaRef(Path("clip.mp4"))


def request(role, row, wording="short"):
    return ROLES[role].request(row, wording)


def test_budgets_are_the_published_ones():
    found = {name: (role.budget.fps, role.budget.max_frames) for name, role in ROLES.items()}

    assert found == {
        "planner": (1.0, 100),
        "grounder": (1.0, 150),
        "verifier": (2.0, 64),
        "answerer": (2.0, 32),
        "gqa": (1.0, 150),
    }
    pixels = {(role.budget.min_pixels // PIXELS, role.budget.max_pixels // PIXELS) for role in ROLES.values()}
    assert pixels == {(36, 64), (128, 256)}


def test_heads_and_words_belong_to_the_roles_that_need_them():
    assert {name for name, role in ROLES.items() if role.has_head} == {"grounder", "gqa"}
    assert {name for name, role in ROLES.items() if role.keeps_words} == {"grounder", "verifier", "gqa"}


def test_a_grounder_is_asked_for_a_query_and_told_its_windows():
    found = request("grounder", grounding(CLIP, (1, 2.5), (4.0, 6.0)))

    asked, said = found.turns
    assert asked == Turn("user", "When: the screen shows a ring")
    assert said == Turn("assistant", f"the screen shows a ring {REG}")
    assert found.windows == ((1.0, 2.5), (4.0, 6.0))


def test_a_published_grounder_says_a_sentence():
    found = request("grounder", grounding(CLIP, (1, 2.5)), "videomind")

    assert found.turns[-1].text == "The relevant moment happens in <|reg|>."


def test_a_grounder_without_windows_is_only_asked():
    assert len(request("grounder", grounding(CLIP)).turns) == 1


@pytest.mark.parametrize(("positive", "answer"), [(True, "Yes."), (False, "No.")])
@pytest.mark.parametrize(("wording", "before"), [("short", "seen "), ("videomind", "")])
def test_a_verifier_learns_yes_or_no_about_a_candidate(wording, before, positive, answer):
    found = request("verifier", judging(CLIP, (1, 2), 10.0, positive), wording)

    assert found.turns[-1] == Turn("assistant", f"{before}{answer}")
    assert found.candidate == (1.0, 2.0)
    assert found.windows == ()


def test_a_verifier_told_in_short_words_names_what_a_row_says_it_shows_before_its_verdict():
    row = judging(CLIP, (1, 2), 10.0, True)
    row = replace(row, meta={**row.meta, "shows": "blue"})

    assert request("verifier", row, "short").turns[-1].text == "blue Yes."
    assert request("verifier", row, "videomind").turns[-1].text == "Yes."


def test_a_verifier_without_a_candidate_is_refused():
    with pytest.raises(SampleError, match=r"^the sample has no candidate: .*meta `candidate`$"):
        request("verifier", sample(CLIP, query="a ring"))


def test_a_planner_learns_its_plan_as_json():
    plan = [{"type": "grounder", "value": "señal"}, {"type": "answerer"}]

    found = request("planner", sample(CLIP, question="What is it?", plan=plan))

    assert found.turns[0].text == "Plan: What is it?"
    assert json.loads(found.turns[1].text) == plan
    assert "señal" in found.turns[1].text


def test_an_answerer_is_asked_the_turns_as_they_are():
    row = talk(CLIP)

    assert request("answerer", row).turns == row.turns


def test_the_joint_role_learns_moment_and_choice():
    found = request("gqa", choosing(CLIP, (1.0, 2.0), answer=1))

    assert found.turns[0].text == "What is seen?\n(A) a ring\n(B) a cross"
    assert found.turns[1].text.endswith("<|reg|>\n2) Best choice: (B) a cross")
    assert found.windows == ((1.0, 2.0),)


@pytest.mark.parametrize("row", [choosing(CLIP), choosing(CLIP, answer=1)], ids=["no answer", "no windows"])
def test_the_joint_role_without_answer_or_windows_is_only_asked(row):
    found = request("gqa", row)

    assert len(found.turns) == 1
    assert found.windows == ()


def test_the_joint_role_without_options_is_refused():
    with pytest.raises(SampleError, match=r"^the sample has no options: this role chooses one, meta `options`$"):
        request("gqa", sample(CLIP, question="What?"))


@pytest.mark.parametrize("answer", [2, -1, "B"])
def test_an_answer_that_is_no_option_is_refused(answer):
    with pytest.raises(SampleError, match=r"the right option is .* of 2; expected its number, from 0"):
        request("gqa", choosing(CLIP, (1.0, 2.0), answer=answer))


def test_queries_come_from_the_first_key_there_is_and_then_from_the_user():
    turns = (Turn("user", "first"), Turn("assistant", "yes"), Turn("user", " the  last. "))

    assert (
        query_of(Sample("a", turns, meta={"query": " a  ring. ", "question": "What?"}), "query", "question")
        == "a ring"
    )
    assert query_of(Sample("a", turns, meta={"query": "", "question": "What?"}), "query", "question") == "What?"
    assert query_of(Sample("a", turns), "query") == "the last"


def test_a_row_that_asks_nothing_is_refused():
    with pytest.raises(SampleError, match="the sample asks nothing"):
        query_of(Sample("a", (Turn("user", " . "),)), "query")


@pytest.mark.parametrize("token", RESERVED)
def test_a_query_with_a_reserved_token_is_refused(token):
    with pytest.raises(SampleError, match="has a meaning of its own; take it out") as caught:
        request("grounder", sample(CLIP, query=f"a {token} ring"))

    assert token in str(caught.value)


def test_an_option_with_a_reserved_token_is_refused():
    with pytest.raises(SampleError, match="has a meaning of its own"):
        request("gqa", sample(CLIP, question="What?", options=["ring", "<|reg|>"]))


@pytest.mark.parametrize("token", RESERVED)
def test_a_conversation_with_a_reserved_token_is_refused(token):
    with pytest.raises(SampleError, match="has a meaning of its own"):
        request("answerer", talk(CLIP, question=f"What {token}?"))


def test_a_plan_with_a_reserved_token_is_refused():
    with pytest.raises(SampleError, match="has a meaning of its own"):
        request("planner", sample(CLIP, question="What?", plan=[{"type": "grounder", "value": "<|reg|>"}]))


def test_an_answerer_that_is_asked_nothing_refuses():
    with pytest.raises(SampleError, match="the sample asks nothing"):
        request("answerer", sample(CLIP))


def test_an_unknown_role_is_refused_with_near_names():
    with pytest.raises(ConfigError, match=r"unknown role `grunder`; .*did you mean.*grounder.*roles") as caught:
        role_called("grunder")

    assert "\n" not in str(caught.value)
