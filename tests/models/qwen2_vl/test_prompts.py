import pytest

from merv.models.qwen2_vl.prompts import FOUND, SHORT, VIDEOMIND, WORDINGS, joint_answer, prompt_of
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


def test_both_wordings_know_the_same_roles():
    assert SHORT.keys() == VIDEOMIND.keys()
    assert all(len(SHORT[role]) < len(VIDEOMIND[role]) for role in SHORT)


def test_the_joint_answer_calls_the_head_before_it_chooses():
    found = joint_answer("B", "a cross")

    assert found == f"1) The relevant moment happens in {REG}\n2) Best choice: (B) a cross"
