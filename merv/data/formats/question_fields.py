"""Fields of rows that ask for a moment: windows, seconds, and an answer that stands among wrong ones as a text."""

from collections.abc import Sequence
from hashlib import sha256
from math import isfinite
from typing import Any

from merv.data.formats.questions import Window
from merv.errors import SampleError


def windows_of(value: Any) -> list[Window]:
    """Windows in seconds of `[[start, end], ...]` or a single `[start, end]`, as they stand there.

    Raises:
        SampleError: it is something else, or empty.
    """
    flat = isinstance(value, list | tuple) and len(value) == 2 and not any(isinstance(end, list) for end in value)
    rows = [value] if flat else value
    if not isinstance(rows, list) or not rows or not all(_is_window(row) for row in rows):
        raise SampleError(f"windows are {value!r}; expected [[start, end], ...] in seconds")
    return [(float(start), float(end)) for start, end in rows]


def _is_window(row: Any) -> bool:
    return isinstance(row, list | tuple) and len(row) == 2 and all(_is_number(end) for end in row)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def in_order(windows: Sequence[Window]) -> list[Window]:
    """The windows, each with the earlier of its ends first."""
    return [(min(window), max(window)) for window in windows]


def number_of(value: Any, name: str) -> float:
    """A number, such as seconds or a frame, also where a CSV gives it as text; `name` is what messages call it.

    Raises:
        SampleError: it is none, or not finite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise SampleError(f"{name} is {value!r}; expected a number") from error
    if not isfinite(number):
        raise SampleError(f"{name} is {value!r}; expected a number")
    return number


def by_words(answer: Any, options: Sequence[str]) -> int:
    """Place of the option with an answer's text, whatever its case and spaces; the first of equal ones.

    Raises:
        SampleError: no option has it.
    """
    texts = [" ".join(option.casefold().split()) for option in options]
    said = " ".join(str(answer).casefold().split())
    if said not in texts:
        raise SampleError(f"answer {answer!r} is not one of the options {list(options)}")
    return texts.index(said)


def with_mark(question: str) -> str:
    """A question with the mark that NExT-QA's lists leave out."""
    return question if question.endswith("?") else f"{question}?"


def among(answer: str, wrong: Sequence[str], key: str) -> list[str]:
    """Options of an answer and wrong ones: its place follows from `key`, see `place_of`."""
    place = place_of(key, len(wrong) + 1)
    return [*wrong[:place], answer, *wrong[place:]]


def place_of(key: str, num_places: int) -> int:
    """A place from 0 that follows from `key`, the same in every run, each as often."""
    return int.from_bytes(sha256(key.encode()).digest()[:8], "big") % num_places
