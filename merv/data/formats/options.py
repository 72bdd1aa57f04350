"""What rows of multiple-choice questions have in common: options, which of them is right, and stretches of a video."""

import re
from collections.abc import Sequence
from string import ascii_uppercase as LETTERS
from typing import Any

from merv.data.formats.json_rows import described
from merv.data.formats.role_rows import Skip, value_of
from merv.errors import SampleError
from merv.video.media import Span

ABSENT = (None, "", "@", "-1", -1)
"""What stands in place of an answer where none is published."""


def question_text(row: Any, name: str = "question") -> str:
    """What a row asks; MLVU's own list holds an empty text.

    Raises:
        SampleError: it is no text.
    """
    text = value_of(row, name)
    if not isinstance(text, str):
        raise SampleError(f"field {name}: found {described(text)}; expected text")
    return text


def options_of(row: Any, *names: str) -> list[str]:
    """The options in the first of these fields that the row has.

    Raises:
        SampleError: they are no list of texts; how many there are is checked where they are asked.
    """
    options = value_of(row, *names)
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise SampleError(f"field {names[0]}: found {described(options)}; expected a list of texts")
    return options


def without_letters(options: Sequence[str]) -> list[str]:
    """Options without the letters `A. ` or `(A) ` of their places before them."""
    return [
        re.sub(rf"^\s*(?:\({letter}\)|{letter}[.)])\s*", "", option)
        for letter, option in zip(LETTERS, options, strict=False)
    ]


def published_answer(row: Any, name: str) -> Any:
    """A row's answer, whatever it is.

    Raises:
        Skip: there is none, as in a test split.
        SampleError: the row is no object.
    """
    answer = value_of(row, name)
    if answer in ABSENT:
        raise Skip("without an answer, as a test split's")
    return answer


def by_text(answer: Any, options: Sequence[str]) -> int | None:
    """Place of the option with the answer's text, the last where several have it, as MVBench and MLVU take it."""
    found = [place for place, option in enumerate(options) if option == answer]
    return found[-1] if found else None


def by_letter(answer: Any, options: Sequence[str]) -> int:
    """Place of an option given by its letter.

    Raises:
        SampleError: there is no such option.
    """
    letter = str(answer).strip().upper()
    return _checked(LETTERS.find(letter) if len(letter) == 1 else -1, answer, options)


def by_number(answer: Any, options: Sequence[str]) -> int:
    """Place of an option given by its number from 0, which may be a text.

    Raises:
        SampleError: there is no such option.
    """
    counts = isinstance(answer, int) and not isinstance(answer, bool)
    return _checked(int(answer) if counts or str(answer).isdecimal() else -1, answer, options)


def _checked(place: int, answer: Any, options: Sequence[str]) -> int:
    if not 0 <= place < len(options):
        raise SampleError(f"answer {answer!r} is none of its {len(options)} options")
    return place


def stretch(start: Any, end: Any) -> Span:
    """A stretch of a video in seconds.

    Raises:
        SampleError: it is none.
    """
    try:
        return Span(float(start), float(end))
    except (TypeError, ValueError) as error:
        raise SampleError(f"{start!r} to {end!r} is no stretch of seconds") from error
