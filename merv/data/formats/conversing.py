"""What the readers of conversations with media in their text share: checked text, turns in order, places for media.

Where a video or an image stands in the text, `merv.chat:MEDIA` marks it; a sample has as many marks as media.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from merv.chat import MEDIA, Turn
from merv.data.formats.json_rows import described
from merv.errors import SampleError


def id_of(row: Mapping[str, Any], dataset: str, number: int) -> str:
    """The row's own id, or one made of the dataset's name and the row's number.

    Raises:
        SampleError: the id is neither text nor a whole number.
    """
    value = row.get("id")
    if value is None:
        return f"{dataset}-{number}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SampleError(f"field id: found {described(value)}; expected a string or a number")
    return str(value)


def checked_text(value: Any, field: str) -> str:
    """Words of a message.

    Raises:
        SampleError: no text, half a surrogate pair, which no tokenizer takes, or merv's own mark.
    """
    if not isinstance(value, str):
        raise SampleError(f"field {field}: found {described(value)}; expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SampleError(f"field {field}: {value[error.start]!a} at character {error.start} is no letter") from error
    if MEDIA in value:
        raise SampleError(f"field {field}: the text holds `{MEDIA}`, by which merv marks media; remove it")
    return value


def in_turn(turns: Sequence[Turn], field: str, *, answered: bool = True) -> tuple[Turn, ...]:
    """The turns of a row: maybe a system message, then questions and answers; where `answered`, an answer last.

    Raises:
        SampleError: they are not so, or media stand elsewhere than in a question.
    """
    first = 1 if turns and turns[0].role == "system" else 0
    spoken = turns[first:]
    for place, turn in enumerate(turns):
        expected = "system" if place < first else ("assistant" if (place - first) % 2 else "user")
        if turn.role != expected:
            raise SampleError(f"field {field}[{place}]: found a message of {turn.role}; expected one of {expected}")
        if MEDIA in turn.text and turn.role != "user":
            raise SampleError(f"field {field}[{place}]: a message of {turn.role} shows media; only user can")
    if not spoken and not answered:
        raise SampleError(f"field {field}: no message of user; there is nothing to answer")
    if answered and (len(spoken) % 2 or not spoken):
        raise SampleError(f"field {field}: the last message is no answer of assistant; there is nothing to learn")
    if not spoken[-1].text.strip():
        what, why = ("answer", "learn") if spoken[-1].role == "assistant" else ("question", "answer")
        raise SampleError(f"field {field}[{len(turns) - 1}]: the last {what} is empty; there is nothing to {why}")
    return tuple(turns)


def same_number(num_places: int, num_media: int, kind: str) -> None:
    """Refuse a row whose text shows more or fewer media than it brings.

    Raises:
        SampleError: the numbers differ.
    """
    if num_places != num_media:
        raise SampleError(f"{num_places} {kind} place{_s(num_places)}, {num_media} {kind}{_s(num_media)}")


def _s(number: int) -> str:
    return "" if number == 1 else "s"
