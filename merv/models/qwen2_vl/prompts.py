"""What each role is told.

`videomind` are the words the published adapters were trained with (https://github.com/yeliudev/VideoMind,
videomind/constants.py, BSD-3-Clause; kept to the letter, slips included).  `short` are our own, for models trained
here: a tenth of the tokens.  MUPA's words for its joint role are not published under a licence, so that role has ours.
"""

import re
from collections.abc import Sequence
from typing import Literal

from merv.data.formats.synthetic import with_options
from merv.models.qwen2_vl.tokens import REG, SEGMENT_END, SEGMENT_START

Wording = Literal["videomind", "short"]

VIDEOMIND = {
    "planner": (
        "You are acting as the planner now. Given a question about the video, your task is to analyze the question "
        "and identify the best way to answer this question. You have access to the following tools:\n\n"
        "Grounder: Accepts a text query and localize the relevant video segment according to the query.\n"
        "Verifier: A tool supporting grounder by verifying the reliability of its outputs.\n"
        "Answerer: Answer a given question directly based on "
        "the whole video or a cropped video segment.\n\nYour response must be a list in JSON format. A valid plan for "
        'reasoning could be "grounder, verifier, answer", "grounder, verifier", or "answerer", depending on the given '
        'question. Please see an example for the format below.\n\n[{"type": "grounder", "value": "<text query>"}, '
        '{"type": "verifier"}, {"type": "answerer"}]\n\nNote that only the grounder can accept an argument called '
        "\"value\", which is the text query used for grounding. Now I give you the question: '<QUERY>'. Please think "
        "carefully and respond with your plan in JSON directly."
    ),
    "grounder": (
        "You are acting as the grounder now. Given a video and a text query, your goal is to temporally localize the "
        "video moment described by the query. If the query is directly describing a moment, simply localize it "
        "according to its content. Otherwise, if the moment is described as 'before/after a pivotal event', you "
        "need to determine the actual event it refers to. The localized moment should only cover the target event. "
        "Now I give you the query: '<QUERY>'. Please think carefully and provide your response."
    ),
    "verifier": (
        "You are acting as the verifier now. You will be presented a text query describing a moment that potentialy "
        "happens in the given video. Your task is to identify whether the video segment between "
        f"{SEGMENT_START} and {SEGMENT_END} perfectly covers the moment. If the described moment can be seen in the "
        f"video, please focus on verifying whether the moment starts at {SEGMENT_START} and ends at {SEGMENT_END}. "
        "Respond with 'Yes' if you think the moment boundaries are correct, otherwise 'No'. If the described moment "
        "cannot be seen in the video, respond with 'No' directly. Now I give you the query: '<QUERY>'. Please think "
        "carefully and respond with 'Yes' or 'No' directly."
    ),
    "gqa": (
        "Answer a multiple-choice question about the video, and show where the answer is seen.\n<QUERY>\n<OPTIONS>\n"
        f"Reply in two lines:\n1) The relevant moment happens in {REG}\n2) Best choice: (letter) option"
    ),
}
"""`<QUERY>` stands for what is asked, `<OPTIONS>` for the options, a line each."""

SHORT = {
    "planner": "Plan: <QUERY>",
    "grounder": "When: <QUERY>",
    "verifier": "Is it: <QUERY>",
    "gqa": "<QUERY>\n<OPTIONS>",
}

WORDINGS = {"videomind": VIDEOMIND, "short": SHORT}

FOUND = {"videomind": f"The relevant moment happens in {REG}.", "short": f"<QUERY> {REG}"}
"""What a grounder says.  A small one that has learned to repeat the query knows it where it calls the head."""


def prompt_of(role: str, wording: Wording, query: str, options: str = "") -> str:
    """The words for a role about a query; `answerer` is asked the question as it is."""
    template = WORDINGS[wording].get(role, "<QUERY>\n<OPTIONS>" if options else "<QUERY>")
    told = {"<QUERY>": query, "<OPTIONS>": options}
    return re.sub("<QUERY>|<OPTIONS>", lambda found: told[found[0]], template)


SEEN = "seen"
"""What a verifier told in short words says before its verdict where a row does not say what the candidate shows."""
WORDS_BEFORE_VERDICT = {"videomind": 0, "short": 1}
"""Tokens a verifier says before its verdict: a small one has to name what it sees to compare it."""


def letters(options: Sequence[str]) -> str:
    """`(A) ring` and so on, a line each."""
    return "\n".join(f"({chr(ord('A') + number)}) {option}" for number, option in enumerate(options))


def found_answer(wording: Wording, query: str) -> str:
    """What a grounder says about a query."""
    return FOUND[wording].replace("<QUERY>", query)


def choice_prompt(wording: Wording, question: str, options: Sequence[str]) -> str:
    """A question with options for the answerer; VideoMind capitalises them."""
    if wording == "short":
        return with_options(question, options)
    lines = letters([option[:1].upper() + option[1:] for option in options])
    return "\n".join([question, "Options:", lines, "Please only give the best option."])


def joint_answer(letter: str, option: str) -> str:
    """What the joint role says: the moment, then the choice (MUPA)."""
    return f"1) The relevant moment happens in {REG}\n2) Best choice: ({letter}) {option}"
