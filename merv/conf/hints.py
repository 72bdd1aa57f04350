"""Questions about declared types: what a field may hold, and how to say so."""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, Union

from draccus import ChoiceRegistry

SEQUENCES: dict[Any, type] = {list: list, tuple: tuple, set: set, frozenset: frozenset, Sequence: list}
"""Declared sequence types, and what is built for each."""


def fields_of(cls: type) -> dict[str, Any]:
    """The settable fields of a config class and their declared types, inherited ones first."""
    return dict(_fields_of(cls)) if dataclasses.is_dataclass(cls) else {}


@functools.cache
def _fields_of(cls: Any) -> Mapping[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; a type that is none is its own only one."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return tuple(member for part in typing.get_args(hint) for member in members(part))
    return (hint,)


def takes_none(hint: Any) -> bool:
    """Whether null is a value of the type."""
    return any(member in (None, type(None), Any) for member in members(hint))


def is_choice(hint: Any) -> bool:
    """Whether the type is a family of registered configs, or a member of one."""
    return isinstance(hint, type) and issubclass(hint, ChoiceRegistry)


def group_of(hint: Any) -> type | None:
    """The config class a field holds, `X` of `X | None` too; None for a field of another type."""
    groups = [m for m in members(hint) if is_choice(m) or (isinstance(m, type) and dataclasses.is_dataclass(m))]
    return groups[0] if len(groups) == 1 else None


def mapping_of(hint: Any) -> tuple[Any, Any] | None:
    """The types of keys and values of a dict field; None for a field of another type."""
    for member in members(hint):
        if (typing.get_origin(member) or member) in (dict, Mapping):
            key, value = typing.get_args(member) or (Any, Any)
            return key, value
    return None


def choices_of(hint: type) -> dict[str, type]:
    """The registered names a field declared as `hint` can choose from."""
    known: dict[str, type] = getattr(hint, "get_known_choices")()  # noqa: B009 - a ChoiceRegistry, which mypy forgets
    return {name: cls for name, cls in sorted(known.items()) if issubclass(cls, hint)}


def choice_name(hint: type, cls: type) -> str | None:
    """The name `cls` is registered under; None when it is not."""
    return next((name for name, known in choices_of(hint).items() if known is cls), None)


def default_choice(hint: type) -> str | None:
    """The name taken when none is given: the family's default, or the class's own."""
    assert issubclass(hint, ChoiceRegistry)
    return hint.default_choice_name() or choice_name(hint, hint)


def type_text(hint: Any) -> str:
    """A declared type in the words of `--help` and of error lines."""
    return " | ".join(dict.fromkeys(_member_text(member) for member in members(hint)))


def _member_text(hint: Any) -> str:
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin is Literal:
        return " | ".join(str(choice) for choice in args)
    if origin in SEQUENCES:
        inner = ", ".join("..." if arg is ... else type_text(arg) for arg in args)
        return f"{SEQUENCES[origin].__name__}[{inner}]" if args else SEQUENCES[origin].__name__
    if pair := mapping_of(hint):
        return f"dict[{type_text(pair[0])}, {type_text(pair[1])}]"
    return _plain_text(hint)


def _plain_text(hint: Any) -> str:
    if hint is Any:
        return "any"
    if hint in (None, type(None)):
        return "null"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(hint.__members__)
    if isinstance(hint, type) and issubclass(hint, PurePath):
        return "path"
    return {str: "text", bool: "true | false"}.get(hint, getattr(hint, "__name__", str(hint)))


def words_of(hint: Any) -> Iterator[str]:
    """The words a field can be set to, where its type lists them."""
    for member in members(hint):
        if typing.get_origin(member) is Literal:
            yield from (str(choice) for choice in typing.get_args(member))
        elif isinstance(member, type) and issubclass(member, Enum):
            yield from member.__members__
