"""Single values of a declared type from text.  Each reader raises ValueError for what is no such value."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import PurePath
from typing import Any

from merv.conf.text import Plain, to_float

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_MAX_DIGITS = 30


def read_literal(choices: tuple[Any, ...], raw: Any) -> Any:
    for choice in choices:
        same = type(choice) is type(raw) and choice == raw
        if same or (isinstance(raw, Plain) and raw in (str(choice), str(choice).lower())):
            return choice
    raise ValueError


def read_enum(cls: type[Enum], raw: Any) -> Enum:
    if isinstance(raw, str):
        for member in cls:
            if raw == member.name:
                return member
        for member in cls:
            if raw == str(member.value):
                return member
    raise ValueError


def read_path(cls: type[PurePath], raw: Any) -> PurePath:
    if not isinstance(raw, str) or not raw:
        raise ValueError
    return cls(str(raw))


def _str(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return str(raw)


def _int(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError
    try:
        return int(raw)
    except ValueError:
        return _whole(str(raw))


def _whole(text: str) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite() or number.adjusted() > _MAX_DIGITS or number != int(number):
        raise ValueError
    return int(number)


def _float(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError
    try:
        return to_float(raw) if isinstance(raw, str) else float(raw)
    except (ValueError, OverflowError):
        raise ValueError from None


def _bool(raw: Any) -> bool:
    word = raw.lower() if isinstance(raw, str) else raw
    if word is True or word in _TRUE:
        return True
    if word is False or word in _FALSE:
        return False
    raise ValueError


def _none(raw: Any) -> None:
    if raw is not None and raw != "null":
        raise ValueError


SCALARS: dict[Any, Callable[[Any], Any]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: _bool,
    None: _none,
    type(None): _none,
}
