import json

import pytest

from merv.data.build import validate
from merv.data.build.validate import Limits, Question, Rejected, normalised, read_question

GOOD = {
    "question": "What does the man put on the table?",
    "answer": "a red cup",
    "distractors": ["a plate", "a bowl", "a knife"],
}
QUESTION = Question("What does the man put on the table?", "a red cup", ("a plate", "a bowl", "a knife"))


def reply(**changed):
    return json.dumps({**GOOD, **changed})


@pytest.mark.parametrize(
    "text",
    [
        reply(),
        "  " + json.dumps(GOOD, indent=2) + "\n",
        f"```json\n{reply()}\n```",
        f"Here it is:\n```\n{reply()}\n```\nI hope it helps.",
        f'<think>maybe {{"question": 1}}</think>{reply()}',
        f'maybe {{"question": 1}}\n</think>\n\n{reply()}',
        reply(question="  What does the man\n put on the table? ", answer="a  red cup"),
    ],
    ids=["bare", "indented", "fence", "fence-and-words", "thought", "end-of-thought", "blanks"],
)
def test_a_question_is_read_in_a_fence_or_not(text):
    assert read_question(text, Limits()) == QUESTION


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", validate.NO_REPLY),
        ("<think>hm", validate.NO_REPLY),
        ("I cannot do that.", validate.NOT_JSON),
        (reply()[:-1], validate.NOT_JSON),
        (f"Sure! {reply()}", validate.NOT_JSON),
        (f"[{reply()}]", validate.NOT_JSON),
        (f"```json\n{reply()}\n```\n```json\n{reply()}\n```", validate.NOT_JSON),
        ("[" * 100_000, validate.NOT_JSON),
        ('{"question": ' + "1" * 5000 + "}", validate.NOT_JSON),
        (reply(answer="a red \ud83d cup"), validate.UNWRITABLE),
        (reply(question="What does\x00 he do?"), validate.UNWRITABLE),
        (reply(explanation="because"), validate.SCHEMA),
        (json.dumps({"question": "Who?", "answer": "a man"}), validate.SCHEMA),
        (reply(distractors="a plate"), validate.SCHEMA),
        (reply(distractors=["a plate", 3, "a bowl"]), validate.SCHEMA),
        (reply(answer={"text": "a"}), validate.SCHEMA),
        (reply()[:-1] + ', "answer": "a dish"}', validate.SCHEMA),
        (reply(answer=["a red cup", "a cup"]), validate.TWO_RIGHT),
        (reply(distractors=["a plate", "The red cup.", "a bowl"]), validate.TWO_RIGHT),
        (reply(distractors=["a plate", "A Plate!", "a bowl"]), validate.EQUAL),
        (reply(question=" ? "), validate.EMPTY),
        (reply(answer=""), validate.EMPTY),
        (reply(distractors=["a plate", "", "a bowl"]), validate.EMPTY),
        (reply(distractors=["a plate", "a bowl"]), validate.FEW),
        (reply(distractors=[f"plate {number}" for number in range(6)]), validate.MANY),
        (reply(question="why " * 41), validate.LONG_QUESTION),
        (reply(answer="cup " * 21), validate.LONG_OPTION),
        (reply(answer="B) a red cup"), validate.LETTERED),
        (reply(distractors=["1. a plate", "a bowl", "a knife"]), validate.LETTERED),
        (reply(question="Where does the man put the red cup?"), validate.LEAKED),
        (reply(question="What happens between 3 and 5 s?"), validate.TIMES),
        (reply(question="What does he do from 12 to 20?"), validate.TIMES),
        (reply(question="What does he do at 1:05?"), validate.TIMES),
        (reply(question="What does he do after 30 seconds?"), validate.TIMES),
        (reply(question="What does he do for five seconds?"), validate.TIMES),
        (reply(question="What is seen at the timestamp?"), validate.TIMES),
        (reply(question="According to the description, what does he hold?"), validate.ABOUT_TEXT),
        (reply(question="What happens in this clip?"), validate.ABOUT_TEXT),
        (reply(distractors=["a plate", "a bowl", "All of the above"]), validate.ABOUT_OPTIONS),
        (reply(distractors=["a plate", "a bowl", "None of these."]), validate.ABOUT_OPTIONS),
        (reply(distractors=["a plate", "a bowl", "Both A and B"]), validate.ABOUT_OPTIONS),
        (reply(distractors=["a plate", "a bowl", "It cannot be determined"]), validate.ABOUT_OPTIONS),
    ],
)
def test_a_reply_that_cannot_be_used_has_its_reason(text, reason):
    with pytest.raises(Rejected) as caught:
        read_question(text, Limits())

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "What does the second person do?"},
        {"question": "What does he do one second later?"},
        {"question": "How many minutes does the clock show?"},
        {"question": "Which of the two dogs runs between the trees?"},
        {"answer": "all of them dance"},
        {"answer": "He runs to either side", "distractors": ["both hands are up", "none is seen", "one of the boys"]},
        {"answer": "5", "distractors": ["1.5", "15", "3"]},
        {"answer": "\u7ea2\u8272", "distractors": ["\u84dd\u8272", "\u7eff\u8272", "\u9ec4\u8272"]},
    ],
)
def test_words_that_only_look_forbidden_pass(changed):
    assert read_question(reply(**changed), Limits()).answer == changed.get("answer", "a red cup")


def test_the_limits_are_the_callers():
    five = {"distractors": ["one", "two", "three", "four"]}

    assert read_question(reply(**five), Limits(5, 5)).num_options == 5
    with pytest.raises(Rejected, match=validate.FEW):
        read_question(reply(), Limits(5, 5))


@pytest.mark.parametrize(
    ("text", "same"),
    [("The Red cup.", "red cup"), ("A", "a"), ("\uff32ed-cup", "red cup"), ("1.5", "1 5"), ("?!", "")],
)
def test_equal_texts_are_normalised_alike(text, same):
    assert normalised(text) == same


def test_vowel_signs_tell_words_apart():
    assert normalised("कि") != normalised("की")
    assert read_question(reply(distractors=["कि", "की", "कु"]), Limits()).wrong == ("कि", "की", "कु")
