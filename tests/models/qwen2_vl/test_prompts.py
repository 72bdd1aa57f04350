import pytest

from merv.models.qwen2_vl.prompts import (
    FOUND,
    SHORT,
    VIDEOMIND,
    WORDINGS,
    choice_prompt,
    found_answer,
    joint_answer,
    letters,
    prompt_of,
)
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tokens import REG, SEGMENT_END, SEGMENT_START


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("role", ROLES)
def test_every_role_asks_the_query_once(role, wording):
    found = prompt_of(role, wording, "a zebra", "(A) ring")

    assert found.count("a zebra") == 1
    assert "<QUERY>" not in found
    assert "<OPTIONS>" not in found


@pytest.mark.parametrize("wording", WORDINGS)
def test_the_joint_role_lists_its_options(wording):
    assert "(A) ring\n(B) cross" in prompt_of("gqa", wording, "What?", "(A) ring\n(B) cross")


def test_an_answerer_is_asked_the_question_as_it_is():
    assert prompt_of("answerer", "videomind", "What?") == "What?"
    assert prompt_of("answerer", "videomind", "What?", "(A) ring") == "What?\n(A) ring"


def test_options_are_lettered_a_line_each():
    assert letters(["ring", "cross"]) == "(A) ring\n(B) cross"


def test_videomind_capitalises_the_options_of_a_choice():
    asked = choice_prompt("videomind", "What?", ["ring", "éclair"])

    assert asked == "What?\nOptions:\n(A) Ring\n(B) Éclair\nPlease only give the best option."


def test_what_is_put_in_is_not_filled_again():
    assert prompt_of("gqa", "short", "say <OPTIONS>", "say <QUERY> \\1") == "say <OPTIONS>\nsay <QUERY> \\1"


def test_published_words_begin_and_end_as_published():
    """The first and last words of each template of VideoMind's constants, and the slip in the verifier's."""
    assert VIDEOMIND["planner"].startswith("You are acting as the planner now. Given a question about the video")
    assert VIDEOMIND["planner"].endswith("Please think carefully and respond with your plan in JSON directly.")
    assert VIDEOMIND["grounder"].endswith(
        "Now I give you the query: '<QUERY>'. Please think carefully and provide your response."
    )
    assert "a moment that potentialy happens" in VIDEOMIND["verifier"]
    assert VIDEOMIND["verifier"].count(SEGMENT_START) == VIDEOMIND["verifier"].count(SEGMENT_END) == 2
    assert VIDEOMIND["verifier"].endswith("Please think carefully and respond with 'Yes' or 'No' directly.")


@pytest.mark.parametrize("wording", WORDINGS)
def test_what_a_grounder_says_calls_its_head_once(wording):
    assert FOUND[wording].count(REG) == 1


def test_a_short_grounder_repeats_the_query_before_it_calls_its_head():
    assert found_answer("short", "a blue background") == f"a blue background {REG}"
    assert found_answer("videomind", "a blue background") == f"The relevant moment happens in {REG}."


def test_both_wordings_know_the_same_roles():
    assert SHORT.keys() == VIDEOMIND.keys()
    assert all(len(SHORT[role]) < len(VIDEOMIND[role]) for role in SHORT)


def test_the_joint_answer_calls_the_head_before_it_chooses():
    found = joint_answer("B", "a cross")

    assert found == f"1) The relevant moment happens in {REG}\n2) Best choice: (B) a cross"
