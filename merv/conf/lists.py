"""Lists and mappings written as one word, such as `[a,b]`, `a,b` and `{a: 1}`.

bash takes the quotes out of `['a','b']` before a program sees it, so items need none.
"""

from collections.abc import Iterator
from typing import Any

from merv.conf.text import Plain, parse_yaml

_QUOTES = ("'", '"')


def flow_mapping(raw: Any) -> dict[Any, Any]:
    """A mapping as it is, or read from text such as `{a: 1, b: 2}`.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(raw, Plain) and raw.startswith("{"):
        raw = parse_yaml(raw)
    if not isinstance(raw, dict):
        raise ValueError("write {key: value, ...}")
    return raw


def split(text: str) -> list[str]:
    """Split `[a,b]` or `a,b` at its outer commas; a quoted item is a `str`, any other is `Plain` again.

    Raises:
        ValueError: a bracket or quote is left open.
    """
    text = text.strip()
    depths = list(_depths(text))
    if depths and (depths[-1] or min(depths) < 0):
        raise ValueError("brackets do not match; quote an item that has one")
    if text.startswith("[") and 0 not in depths[:-1]:
        text, depths = text[1:-1], [depth - 1 for depth in depths[1:-1]]
    cuts = [place for place, depth in enumerate(depths) if depth == 0 and text[place] == ","]
    items = [text[start:stop].strip() for start, stop in zip([0, *(c + 1 for c in cuts)], [*cuts, None], strict=True)]
    if not items[-1]:
        items.pop()
    return [_unquote(item) for item in items]


def _depths(text: str) -> Iterator[int]:
    """The bracket depth after each character; quoted characters are inside, one level deeper."""
    depth, quote, before = 0, "", ","
    for char in text:
        if quote:
            quote = "" if char == quote else quote
            yield depth + bool(quote)
        elif char in _QUOTES and before in ",[{:":
            quote = char
            yield depth + 1
        else:
            depth += (char in "[{") - (char in "]}")
            yield depth
        before = before if char.isspace() else char
    if quote:
        raise ValueError(f"the quote {quote} is not closed")


def _unquote(item: str) -> str:
    if item[:1] in _QUOTES and item.find(item[0], 1) == len(item) - 1:
        return item[1:-1]
    return Plain(item)
