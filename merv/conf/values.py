"""From text to the value a field declares: `007` is text for `str`, a number for `int`, and an error for `bool`."""

import difflib
import typing
from collections.abc import Callable
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal

import draccus
from draccus.utils import DraccusException

from merv.conf.hints import (
    SEQUENCES,
    group_of,
    mapping_of,
    members,
    takes_none,
    type_text,
    words_of,
)
from merv.conf.lists import flow_mapping, split
from merv.conf.scalars import SCALARS, read_enum, read_literal, read_path
from merv.conf.text import Plain, describe, guess
from merv.errors import ConfigError

GroupReader = Callable[[Any, Any, str], Any]
"""Builds a config inside a list from (declared type, raw value, dotted name)."""


def decode(hint: Any, raw: Any, where: str, group: GroupReader) -> Any:
    """Turn `raw` into a value of the declared type.

    Args:
        hint: the declared type.
        raw: `Plain` text, whose type is open, or what a file held: str, list, dict, None.
        where: dotted name of the field.
        group: builds configs inside lists.

    Raises:
        ConfigError: it is no such value; the line says what was expected.
    """
    options = members(hint)
    try:
        if len(options) > 1:
            return _union(hint, raw, where, group)
        return _one(options[0], raw, where, group)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        reason = f" ({error})" if str(error) else ""
        near = difflib.get_close_matches(str(raw), list(words_of(hint)), n=1)
        meant = f"did you mean `{near[0]}`? " if near else ""
        raise ConfigError(f"`{where}` is {describe(raw)}; {meant}expected {type_text(hint)}{reason}") from error


def _union(hint: Any, raw: Any, where: str, group: GroupReader) -> Any:
    if takes_none(hint) and _is_null(raw, hint):
        return None
    deepest: ConfigError | None = None
    for member in sorted(members(hint), key=lambda member: _rank(member, raw)):
        if str in members(hint) and member is not str and _is_text_only(member, raw):
            continue
        try:
            return _one(member, raw, where, group)
        except ConfigError as error:
            deepest = error
        except ValueError:
            continue
    if deepest is not None and sum(m is not type(None) for m in members(hint)) == 1:
        raise deepest
    raise ValueError


def _is_null(raw: Any, hint: Any) -> bool:
    """Null itself, `null`, or for a field that takes no text `none` too."""
    if not isinstance(raw, Plain):
        return raw is None
    textual = any(m in (str, Any) or (isinstance(m, type) and issubclass(m, PurePath)) for m in members(hint))
    return raw == "null" or (not textual and raw.lower() in ("none", "~"))


def _rank(member: Any, raw: Any) -> int:
    """Order of trying the members of a union: the narrower first; quoted text is text before it is a number."""
    origin = typing.get_origin(member) or member
    order: tuple[Any, ...] = (Literal, int, float, bool)
    if origin in order:
        place = order.index(origin)
    elif isinstance(origin, type) and issubclass(origin, Enum):
        place = 0
    else:
        place = {str: 7, Any: 8}.get(origin, 5)
    return -1 if origin is str and isinstance(raw, str) and not isinstance(raw, Plain) else place


def _is_text_only(member: Any, raw: Any) -> bool:
    """Whether `raw` is a list or dict only by generosity; beside `str` in a union it is then text."""
    origin = typing.get_origin(member) or member
    return (origin in SEQUENCES and isinstance(raw, str) and not raw.startswith("[")) or (
        mapping_of(member) is not None and isinstance(raw, str) and not raw.startswith("{")
    )


def _one(hint: Any, raw: Any, where: str, group: GroupReader) -> Any:
    origin = typing.get_origin(hint) or hint
    if origin is Any or origin is object or isinstance(hint, typing.TypeVar):
        return guess(raw)
    if origin is Literal:
        return read_literal(typing.get_args(hint), raw)
    if origin in SEQUENCES:
        return _sequence(hint, raw, where, group)
    if group_of(hint):
        return group(hint, raw, where)
    if pair := mapping_of(hint):
        return _mapping(pair, raw, where, group)
    if hint in SCALARS:
        return SCALARS[hint](raw)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return read_enum(hint, raw)
    if isinstance(hint, type) and issubclass(hint, PurePath):
        return read_path(hint, raw)
    return _foreign(hint, raw)


def _foreign(hint: Any, raw: Any) -> Any:
    """A type somebody taught draccus with `draccus.decode.register`."""
    try:
        return draccus.decode(hint, guess(raw))
    except DraccusException as error:
        raise ValueError(" ".join(str(error.__cause__ or error).split())) from error


def _sequence(hint: Any, raw: Any, where: str, group: GroupReader) -> Any:
    args = typing.get_args(hint)
    make = SEQUENCES[typing.get_origin(hint) or hint]
    items = _items(raw)
    if make is tuple and args and ... not in args:
        if len(items) != len(args):
            raise ValueError(f"{len(items)} values instead of {len(args)}")
        hints: list[Any] = list(args)
    else:
        hints = [args[0] if args else Any] * len(items)
    return make(
        decode(item_hint, item, f"{where}.{place}", group)
        for place, (item_hint, item) in enumerate(zip(hints, items, strict=True))
    )


def _items(raw: Any) -> list[Any]:
    if isinstance(raw, Plain):
        return split(raw)
    if isinstance(raw, str):
        return [raw]
    if isinstance(raw, list | tuple):
        return list(raw)
    raise ValueError


def _mapping(pair: tuple[Any, Any], raw: Any, where: str, group: GroupReader) -> dict[Any, Any]:
    key_hint, value_hint = pair
    return {
        decode(key_hint, key, where, group): decode(value_hint, value, f"{where}.{key}", group)
        for key, value in flow_mapping(raw).items()
    }
