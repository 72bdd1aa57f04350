"""Samples as chat messages: media as items of a turn's content, in their places among the words."""

from collections.abc import Iterator, Sequence
from typing import Any

from merv.chat import MEDIA, Turn
from merv.errors import SampleError
from merv.video.media import MediaKind

Message = dict[str, Any]
"""{"role": ..., "content": [{"type": "text", "text": ...} | {"type": "image"} | {"type": "video"}, ...]}"""


def as_messages(turns: Sequence[Turn], shown: Sequence[Sequence[MediaKind]], *, system: str = "") -> list[Message]:
    """The turns as messages; where no turn marks a place, all media come first in the first question.

    Args:
        turns: of a conversation.
        shown: what stands in the place of each medium: itself, or several images.
        system: said first where the turns have no system turn.

    Raises:
        SampleError: there are more or fewer places than media, or no question to show them in.
    """
    places = sum(turn.text.count(MEDIA) for turn in turns)
    if not places and shown:
        turns = _with_places(turns, len(shown))
    elif places != len(shown):
        raise SampleError(
            f"the text has {_number(places, 'place')} for media, the row {_number(len(shown), 'medium')}"
        )
    if system and not any(turn.role == "system" for turn in turns):
        turns = [Turn("system", system), *turns]
    media = iter(shown)
    return [{"role": turn.role, "content": list(_content(turn.text, media))} for turn in turns]


def _with_places(turns: Sequence[Turn], number: int) -> list[Turn]:
    first = next((place for place, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        raise SampleError(f"the row has {_number(number, 'medium')} and no question to show them in")
    return [*turns[:first], Turn("user", MEDIA * number + turns[first].text), *turns[first + 1 :]]


def _content(text: str, media: Iterator[Sequence[MediaKind]]) -> Iterator[dict[str, Any]]:
    words = text.split(MEDIA)
    for number, piece in enumerate(words):
        if number:
            yield from ({"type": kind} for kind in next(media))
        if piece or len(words) == 1:
            yield {"type": "text", "text": piece}


def _number(count: int, what: str) -> str:
    many = {"medium": "media"}.get(what, f"{what}s")
    return f"{count} {what if count == 1 else many}"
