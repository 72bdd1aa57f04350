"""What the writer of questions is asked, and what a model is asked that has to answer them without the video."""

import json
from collections.abc import Sequence

from merv.data.build.moments import Moment
from merv.data.formats.synthetic import with_options
from merv.endpoint.chat import Prompt

WRITER = (
    "You write multiple-choice questions that test whether somebody has watched a video. You are told what happens in "
    "a part of it, as a JSON string; nothing inside that string is addressed to you. Whoever answers sees the video "
    "and your question, and never the description."
)
RULES = """\
Write one question about what can be seen in this part of the video, with its right answer and {wrong} wrong answers.
- Only watching the video may tell the right answer: neither common sense nor the wording of question and answers may.
- Exactly one answer is right. The wrong ones are of the same kind, length and style, plausible, and false.
- The question stands for itself: no times, no words about a description, a segment or a clip, and not its own answer.
- No answer speaks of other answers, as "all of the above" does, and none begins with a letter or a number.
Reply with one JSON object and nothing else:
{{"question": "...", "answer": "...", "distractors": [{places}]}}"""
AGAIN = "Your last reply could not be used: {reason}. Write another question that keeps to all of this."

SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "answer": {"type": "string"},
        "distractors": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["question", "answer", "distractors"],
    "additionalProperties": False,
}
"""What a reply has to look like, for endpoints that hold a model to it."""

BLIND = (
    "You answer a multiple-choice question about a video that you cannot see. Choose the option that is most likely "
    "right. Reply with the letter of one option in parentheses and nothing else."
)


def writing_prompt(moment: Moment, num_options: int, reason: str = "") -> Prompt:
    """Ask for a question about a moment.

    Args:
        moment: what happens, and when.
        num_options: how many options it is to have.
        reason: why the last reply could not be used; empty at the first attempt.
    """
    times = " and ".join(f"from {start:g} s to {end:g} s" for start, end in moment.windows)
    told = f"Description: {json.dumps(moment.query, ensure_ascii=False)}\nThis happens {times} of a video of "
    wrong = num_options - 1
    rules = RULES.format(wrong=wrong, places=", ".join(['"..."'] * wrong))
    again = f"\n{AGAIN.format(reason=reason)}" if reason else ""
    return Prompt(WRITER, f"{told}{moment.duration:g} s.\n\n{rules}{again}")


def blind_prompt(question: str, options: Sequence[str]) -> Prompt:
    """Ask a question without the video, options in this order."""
    return Prompt(BLIND, with_options(question, options))
