"""What a row of a question-answering benchmark says, before anybody decides how to ask it.

A reader gives each row as a `Question`; datasets make samples to train on of it (merv.data.question_dataset), tasks of
evaluation put the words of a protocol around it.  So a file's shape stands in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from merv.video.media import Span

Window = tuple[float, float]
"""Start and end in seconds of the video."""


@dataclass(frozen=True)
class Question:
    """A question with options, or with a free answer where there are none."""

    id: str
    text: str
    """The question as the file has it, without options."""
    video: str
    """Path below the folder of the videos, with or without suffix."""
    options: Sequence[str] = ()
    """Texts without letters; empty for a free answer."""
    answer: int | str | None = None
    """Place of the right option from 0, or the free answer; None where the file names none of its options."""
    windows: Sequence[Window] = ()
    """Seconds in which the answer shows, as the file has them."""
    span: Span | None = None
    """Seconds of the video the question is about; None means all of it."""
    duration: float | None = None
    """Seconds of the video; None where the file does not say."""
    kind: str = ""
    """Type of question."""
    also: Sequence[str] = ()
    """Other names the video may stand under, for when `video` is not there."""
    more: dict[str, Any] = field(default_factory=dict)
    """What else a task needs: groups, subtitles."""
