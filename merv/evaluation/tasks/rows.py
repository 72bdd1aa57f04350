"""What rows of multiple-choice benchmarks say: which option is right, and the stretch of the video that is meant."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merv.data.formats import options
from merv.data.formats.options import ABSENT
from merv.data.formats.role_rows import Skip
from merv.errors import ConfigError, SampleError
from merv.video.media import Span


def require_answers(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> None:
    """Refuse a list whose answers are not published.

    Raises:
        ConfigError: no row has one in field `name`.
    """
    if all(row.get(name) in ABSENT for row in rows):
        raise ConfigError(f"{path} has no answers (`{name}`): a test split; name a validation split as annotations")


def by_number(answer: Any, given: Any, where: str) -> int:
    """Index of an option given by its number from 0, which may be a text.

    Raises:
        ConfigError: there is no such option.
    """
    with strictly(where):
        return options.by_number(answer, given)


def stretch(start: Any, end: Any, where: str) -> Span:
    """A row's stretch of time in seconds.

    Raises:
        ConfigError: it is none.
    """
    with strictly(where):
        return options.stretch(start, end)


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
