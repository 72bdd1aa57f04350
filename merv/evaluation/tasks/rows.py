"""What rows of multiple-choice benchmarks say: which option is right, and the stretch of the video that is meant."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merv.data.formats.role_rows import Skip
from merv.errors import ConfigError, SampleError
from merv.evaluation.published_parsers import LETTERS
from merv.video.media import Span

ABSENT = (None, "", "@", "-1", -1)
"""What stands in place of an answer where none is published."""


def require_answers(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> None:
    """Refuse a list whose answers are not published.

    Raises:
        ConfigError: no row has one in field `name`.
    """
    if all(row.get(name) in ABSENT for row in rows):
        raise ConfigError(f"{path} has no answers (`{name}`): a test split; name a validation split as annotations")


def by_text(answer: Any, options: Any) -> int | None:
    """Index of the option with the answer's text, the last where several have it, as MVBench and MLVU take it."""
    found = [i for i, option in enumerate(options) if option == answer]
    return found[-1] if found else None


def by_letter(answer: Any, options: Any, where: str) -> int:
    """Index of an option given by its letter.

    Raises:
        ConfigError: there is no such option.
    """
    letter = str(answer).strip().upper()
    return _checked(LETTERS.find(letter) if len(letter) == 1 else -1, answer, options, where)


def by_number(answer: Any, options: Any, where: str) -> int:
    """Index of an option given by its number from 0, which may be a text.

    Raises:
        ConfigError: there is no such option.
    """
    counts = isinstance(answer, int) and not isinstance(answer, bool)
    return _checked(int(answer) if counts or str(answer).isdecimal() else -1, answer, options, where)


def _checked(index: int, answer: Any, options: Any, where: str) -> int:
    if not 0 <= index < len(options):
        raise ConfigError(f"{where}: answer {answer!r} is none of its {len(options)} options; repair or drop the row")
    return index


def stretch(start: Any, end: Any, where: str) -> Span:
    """A row's stretch of time in seconds.

    Raises:
        ConfigError: it is none.
    """
    try:
        return Span(float(start), float(end))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {start!r} to {end!r} is no stretch of seconds; repair or drop the row") from error


@contextmanager
def strictly(where: str) -> Iterator[None]:
    """A row that cannot be used ends the reading of a benchmark: a score is one over all of its questions.

    Raises:
        ConfigError: a SampleError or Skip was raised within; says `where` the row stands.
    """
    try:
        yield
    except (SampleError, Skip) as error:
        raise ConfigError(f"{where}: {error}; repair or drop the row") from error
