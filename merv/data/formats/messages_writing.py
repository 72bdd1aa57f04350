"""Writer of samples as rows of messages, which `merv.data.formats.messages` reads back to the same samples.

The same means: ids, turns, media with kinds and spans, the answer's span and `meta` are equal, where a tuple in `meta`
comes back as a list, as JSON has it.  Each row is read again before it counts as written.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from merv.chat import MEDIA, Turn
from merv.data.formats.messages import FIELDS, OWN, RowReader
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.video.media import MediaRef, Span

TAKEN = frozenset({*FIELDS, "id", OWN, "num_frames"})
"""Names in `meta` that mean something else beside the messages."""


class Named:
    """Stands for a folder of media where names are taken as they are."""

    def locate(self, name: str, path: str) -> Path:
        """The path itself."""
        return Path(path)


def row_of(sample: Sample, names: list[str]) -> dict[str, Any]:
    """A sample as a row of messages.

    Args:
        sample: What to write.
        names: How the row calls each of the sample's media.

    Raises:
        SampleError: the row would be read as another sample; the message says what cannot be told.
    """
    row = _row(sample, names)
    _check(sample, names, row)
    return row


def _row(sample: Sample, names: list[str]) -> dict[str, Any]:
    items = [_item(ref, name) for ref, name in zip(sample.media, names, strict=True)]
    turns, num_marks = list(sample.turns), sum(turn.text.count(MEDIA) for turn in sample.turns)
    if num_marks not in (0, len(items)):
        raise SampleError(f"{num_marks} places in the text for {len(items)} media; expected one each, or none")
    own: dict[str, Any] = {}
    if items and not num_marks:  # other readers find the media before the first question
        asked = next((place for place, turn in enumerate(turns) if turn.role == "user"), None)
        if asked is None:
            raise SampleError("nobody asks anything; expected a turn of user to show its media in")
        turns[asked] = replace(turns[asked], text=MEDIA * len(items) + turns[asked].text)
        own["unplaced"] = True
    placed = iter(items)
    row: dict[str, Any] = {"id": sample.id, "messages": [_message(turn, lambda: next(placed)) for turn in turns]}
    row |= {name: value for name, value in sample.meta.items() if name not in TAKEN}
    if sample.span is not None:
        own["span"] = [sample.span.start, _end(sample.span)]
    if hidden := {name: value for name, value in sample.meta.items() if name in TAKEN}:
        own["meta"] = hidden
    return row | ({OWN: own} if own else {})


def _message(turn: Turn, next_item: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Plain text as text; with media in it, a list of pieces."""
    first, *rest = turn.text.split(MEDIA)
    if not rest:
        return {"role": turn.role, "content": first}
    content = [_words(first)]
    for text in rest:
        content += [next_item(), _words(text)]
    return {"role": turn.role, "content": [piece for piece in content if piece.get("text") != ""]}


def _words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _item(ref: MediaRef, name: str) -> dict[str, Any]:
    item: dict[str, Any] = {"type": ref.kind, ref.kind: name}
    if ref.span is not None:
        item["start"] = ref.span.start
        if (end := _end(ref.span)) is not None:
            item["end"] = end
    return item


def _end(span: Span) -> float | None:
    """JSON has no infinity: without an end a stretch lasts as long as the video."""
    return None if math.isinf(span.end) else span.end


def _check(sample: Sample, names: list[str], row: dict[str, Any]) -> None:
    """Read the row again and compare."""
    media = tuple(replace(ref, path=Path(name), within=None) for ref, name in zip(sample.media, names, strict=True))
    try:
        again = json.loads(json.dumps(row, allow_nan=False, ensure_ascii=False).encode())
        meta = plain(sample.meta)
    except (TypeError, ValueError, RecursionError) as error:
        raise SampleError(f"meta cannot be told in JSON: {error}") from error
    [found] = RowReader(Named(), "", prompts_only=True).samples(0, again)
    expected = replace(sample, media=media, meta=meta)
    for part in ("id", "turns", "media", "span", "meta"):
        if getattr(found, part) != getattr(expected, part):
            raise SampleError(f"its {part} would be read as {_short(getattr(found, part))}; change it in the source")


def plain(value: Any) -> Any:
    """The value with lists for its tuples and dictionaries for its mappings."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    return value


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
