from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import draccus
import pytest
from conf_shapes import Precision
from hypothesis import given
from hypothesis import strategies as st

from merv.conf.text import Plain
from merv.conf.values import decode
from merv.errors import ConfigError


def value(hint: Any, raw: Any) -> Any:
    def no_group(hint, raw, where):
        raise AssertionError("no config is declared here")

    return decode(hint, raw, "here", no_group)


@pytest.mark.parametrize(
    "text", ["007", "1_0", "true", "null", "include x", "a: b", "[a", "", " x ", "~", "1e5", "'q'"]
)
def test_text_fields_keep_text_as_typed(text):
    kept = value(str, Plain(text))

    assert kept == text
    assert type(kept) is str


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (int, "007", 7),
        (int, "1e3", 1000),
        (int, "1_000", 1000),
        (int, "-3", -3),
        (int, "3.0", 3),
        (int, "1e23", 10**23),
        (float, "1e-5", 1e-5),
        (float, "3", 3.0),
        (float, ".inf", float("inf")),
        (float, "-.inf", float("-inf")),
        (bool, "true", True),
        (bool, "Yes", True),
        (bool, "on", True),
        (bool, "1", True),
        (bool, "False", False),
        (bool, "no", False),
        (bool, "off", False),
        (bool, "0", False),
        (Path, "a/b", Path("a/b")),
        (Precision, "HALF", Precision.HALF),
        (Precision, "fp32", Precision.FULL),
        (Literal["crop", 3], "3", 3),
        (Literal["crop", 3], "crop", "crop"),
        (str | None, "null", None),
        (str | None, "none", "none"),
        (str | None, "", ""),
        (int | None, "None", None),
        (int | None, "5", 5),
        (Path | None, "null", None),
        (int | str, "5", 5),
        (int | str, "5a", "5a"),
        (int | list[int], "16,16", [16, 16]),
        (int | list[int], "16", 16),
        (str | list[str], "a,b", "a,b"),
        (str | list[str], "[a,b]", ["a", "b"]),
        (bool | int, "1", 1),
        (bool | int, "true", True),
        (list[str], "[007, true]", ["007", "true"]),
        (list[str], "['a','b']", ["a", "b"]),
        (list[str], "[a,b]", ["a", "b"]),
        (list[str], "a,b", ["a", "b"]),
        (list[str], "a", ["a"]),
        (list[str], "[]", []),
        (list[str], "", []),
        (list[str], "['a, b', \"it's\"]", ["a, b", "it's"]),
        (list[int], "[16,16,32,16]", [16, 16, 32, 16]),
        (list[int], "16,16", [16, 16]),
        (list[int], "[16, 16,]", [16, 16]),
        (list[list[int]], "[[1,2],[3]]", [[1, 2], [3]]),
        (list[list[int]], "[1,2],[3]", [[1, 2], [3]]),
        (list[Path], "a,b/c", [Path("a"), Path("b/c")]),
        (list, "[1,x]", [1, "x"]),
        (Sequence[int], "1,2", [1, 2]),
        (tuple[int, ...], "1,2,3", (1, 2, 3)),
        (tuple[int, str], "1,2", (1, "2")),
        (set[int], "1,1,2", {1, 2}),
        (dict[str, int], "{a: 1, 007: 2}", {"a": 1, "007": 2}),
        (dict[int, list[str]], "{1: [x, 02]}", {1: ["x", "02"]}),
        (Any, "{a: [1, x, null], b: 1e-5}", {"a": [1, "x", None], "b": 1e-5}),
        (Any, "yes", True),
        (Any, "007", "007"),
        (Any, "2024-01-01", "2024-01-01"),
        (Any, "[a", "[a"),
    ],
)
def test_text_becomes_the_declared_type(hint, text, expected):
    found = value(hint, Plain(text))

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("hint", "raw"),
    [
        (int, Plain("3.5")),
        (int, Plain("1e999999999")),
        (int, Plain("nan")),
        (int, Plain("")),
        (int, True),
        (float, Plain("fast")),
        (float, True),
        (bool, Plain("2")),
        (bool, None),
        (str, None),
        (str, ["a"]),
        (str, True),
        (Path, Plain("")),
        (list[int], {"a": 1}),
        (list[str], [None]),
        (list[str], Plain("['a")),
        (list[str], Plain("a]")),
        (tuple[int, int], Plain("1")),
        (dict[str, int], Plain("a")),
        (dict[str, int], Plain("{a: 1")),
        (Literal["a", "b"], Plain("c")),
        (Literal["1"], 1),
        (int | None, Plain("x")),
        (list[int] | None, Plain("1,x")),
    ],
)
def test_what_is_not_of_the_declared_type_is_refused_by_name(hint, raw):
    with pytest.raises(ConfigError, match=r"^`here(\.\w+)?` is .*expected"):
        value(hint, raw)


@pytest.mark.parametrize("hint", [int | str, str | list[str], str | None, Any, bool | str])
@given(text=st.text())
def test_quoted_text_of_a_file_stays_text(hint, text):
    assert value(hint, text) == text


@given(st.lists(st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"])), max_size=4))
def test_quoted_items_reach_a_list_of_text_unchanged(items):
    written = "[" + ", ".join(f"'{item}'" for item in items) + "]"

    assert value(list[str], Plain(written)) == items


@given(st.integers(min_value=-(10**40), max_value=10**40))
def test_any_integer_survives(number):
    assert value(int, Plain(number)) == number


@given(st.floats(allow_nan=False))
def test_any_float_survives(number):
    assert value(float, Plain(repr(number))) == number


class Colour:
    def __init__(self, name: str) -> None:
        self.name = name


def test_types_taught_to_draccus_are_read_by_it():
    draccus.decode.register(Colour, lambda raw, path: Colour(raw.upper()))

    assert value(Colour, Plain("red")).name == "RED"
