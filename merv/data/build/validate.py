"""From a writer's reply to a question that can be used; every reason not to use one has a name it is counted under."""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

NO_REPLY = "no reply"
NOT_JSON = "not one JSON object"
SCHEMA = "another shape than question, answer and distractors"
UNWRITABLE = "a character that cannot be written"
EMPTY = "an empty question or option"
LONG_QUESTION = "the question is too long"
LONG_OPTION = "an option is too long"
LETTERED = "an option begins with its letter"
TWO_RIGHT = "two right answers"
EQUAL = "two options are the same"
FEW = "too few options"
MANY = "too many options"
LEAKED = "the question holds its answer"
TIMES = "the question names times"
ABOUT_TEXT = "the question speaks of a description or a clip"
ABOUT_OPTIONS = "an option speaks of other options"

_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)|^.*</think>", re.DOTALL)
"""Some templates open the thought in the prompt, so that a reply only ends it."""
_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)
_LETTER = re.compile(r"^\s*(?:\([A-Za-z]\)|[A-Za-z][).:]|\d+[).])\s+\S")
_TIMES = re.compile(
    r"\b\d+(?:\.\d+)?\s*-?\s*(?:s|secs?|seconds?|mins?|minutes?)\b|\b(?:seconds?|minutes?)\s*\d|"
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|fifteen|twenty|thirty|sixty)\s+(?:seconds|minutes)\b|"
    r"\b\d{1,2}:\d{2}\b|\btime ?-?stamps?\b|"
    r"\b(?:between|from)\s+\d+(?:\.\d+)?\s+(?:and|to|until)\s+\d+(?:\.\d+)?\b",
    re.IGNORECASE,
)
_ABOUT_TEXT = re.compile(
    r"\b(?:description|described|caption|segment|time ?span|"
    r"(?:this|the|given|provided|above|following) (?:clip|passage|excerpt|text))\b",
    re.IGNORECASE,
)
_ABOUT_OPTIONS = re.compile(
    r"\b(?:all|none|both|neither|either|any) of (?:the )?(?:above|options|answers|choices|other)\b|"
    r"\b(?:above|previous|other) (?:options?|answers?)\b|"
    r"\b(?:both|either|neither) \(?[A-F]\)? (?:and|or|nor) \(?[A-F]\b|"
    r"^\W*(?:(?:all|none|both|neither|either)(?: of (?:these|those|them))?|not sure|unknown|"
    r"unclear|something else|other)\W*$|"
    r"\b(?:cannot|can't|can not|could not) be (?:determined|known|told|seen|answered)\b|\bnot enough information\b",
    re.IGNORECASE,
)
_ARTICLES = ("a", "an", "the")


class Rejected(Exception):  # noqa: N818 - it says what happened
    """A reply that gives no question; the message is the reason it is counted under."""


@dataclass(frozen=True)
class Question:
    """A question with its right answer and wrong ones."""

    question: str
    answer: str
    wrong: tuple[str, ...]

    @property
    def num_options(self) -> int:
        """Options it has."""
        return 1 + len(self.wrong)


@dataclass(frozen=True)
class Limits:
    """How many options, and how many words."""

    least: int = 4
    """Fewest options."""
    most: int = 6
    """Most options."""
    question_words: int = 40
    """Longest question."""
    option_words: int = 20
    """Longest option."""


def read_question(reply: str, limits: Limits) -> Question:
    """The question in a reply, which is a JSON object, in a code fence or not.

    Raises:
        Rejected: the reply cannot be used.
    """
    question, answer, wrong = _fields(_object(reply))
    options = [answer, *wrong]
    _check_options(options, limits)
    _check_question(question, answer, limits)
    return Question(question, answer, tuple(wrong))


def normalised(text: str) -> str:
    """A text without case, punctuation, articles and variants of letters: two equal ones say the same."""
    letters = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in letters).split()
    return " ".join([word for word in words if word not in _ARTICLES] or words)


def without_thoughts(reply: str) -> str:
    """A reply without what a model thought before it."""
    return _THOUGHT.sub("", reply).strip()


def _object(reply: str) -> dict[str, Any]:
    text = without_thoughts(reply)
    if not text:
        raise Rejected(NO_REPLY)
    fenced = _FENCE.findall(text)
    if len(fenced) > 1:
        raise Rejected(NOT_JSON)
    try:
        found = json.loads(fenced[0] if fenced else text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are JSON and no number
        raise Rejected(NOT_JSON) from error
    if not isinstance(found, dict):
        raise Rejected(NOT_JSON)
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Rejected(SCHEMA)
    return dict(pairs)


def _fields(values: dict[str, Any]) -> tuple[str, str, list[str]]:
    if isinstance(values.get("answer"), list):
        raise Rejected(TWO_RIGHT)
    if set(values) != {"question", "answer", "distractors"} or not isinstance(values["distractors"], list):
        raise Rejected(SCHEMA)
    question, answer, wrong = values["question"], values["answer"], values["distractors"]
    if not all(isinstance(text, str) for text in (question, answer, *wrong)):
        raise Rejected(SCHEMA)
    question, answer, *wrong = (" ".join(text.split()) for text in (question, answer, *wrong))
    if any(unicodedata.category(letter) in ("Cc", "Cs") for text in (question, answer, *wrong) for letter in text):
        raise Rejected(UNWRITABLE)
    if not all(map(normalised, (question, answer, *wrong))):
        raise Rejected(EMPTY)
    return question, answer, wrong


def _check_options(options: list[str], limits: Limits) -> None:
    right, *wrong = map(normalised, options)
    checks = {
        LETTERED: any(map(_LETTER.search, options)),
        ABOUT_OPTIONS: any(map(_ABOUT_OPTIONS.search, options)),
        TWO_RIGHT: right in wrong,
        EQUAL: len(set(wrong)) < len(wrong),
        FEW: len(options) < limits.least,
        MANY: len(options) > limits.most,
        LONG_OPTION: any(len(option.split()) > limits.option_words for option in options),
    }
    _raise_first(checks.items())


def _check_question(question: str, answer: str, limits: Limits) -> None:
    checks = {
        LONG_QUESTION: len(question.split()) > limits.question_words,
        TIMES: _TIMES.search(question),
        ABOUT_TEXT: _ABOUT_TEXT.search(question),
        LEAKED: f" {normalised(answer)} " in f" {normalised(question)} ",
    }
    _raise_first(checks.items())


def _raise_first(checks: Iterable[tuple[str, Any]]) -> None:
    for reason, applies in checks:
        if applies:
            raise Rejected(reason)
