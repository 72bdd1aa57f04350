import json

import pytest

from merv.data.formats.json_rows import described, json_object, json_rows
from merv.errors import ConfigError


def written(tmp_path, content, name="rows.json"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_list_and_lines_give_the_same_rows(tmp_path):
    lines = written(tmp_path, '{"a": 1}\n\n{"a": "\u2028"}\n', "rows.jsonl")

    assert list(json_rows(lines, "a")) == list(json_rows(written(tmp_path, '[{"a": 1}, {"a": "\u2028"}]'), "a"))


def test_a_line_that_is_not_json_is_handed_on(tmp_path):
    first, second = json_rows(written(tmp_path, "{broken\n3\n", "rows.jsonl"), "a")

    assert isinstance(first, json.JSONDecodeError)
    assert second == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.json", '{"a": 1}', r"holds dict \{\"a\": 1\}; expected a list of rows with a, b"),
        ("rows.json", "{broken", r"is not JSON: .* at line 1 column 2; download it again, or name it \.jsonl"),
        ("rows.json", b"\xff[]", "is not UTF-8 text: invalid start byte at byte 0"),
        ("rows.jsonl", b"1\n\xff\n", "is not UTF-8 text"),
        ("rows.jsonl", '[\n  {"a": 1}\n]', r"rows.jsonl is one JSON list and not a row a line; name it rows.json"),
        ("rows.jsonl", '[{"a": 1}, {"a": 2}]', r"is one JSON list and not a row a line; name it rows.json"),
    ],
)
def test_a_file_without_rows_is_refused_in_one_line(tmp_path, name, content, message):
    with pytest.raises(ConfigError, match=message):
        list(json_rows(written(tmp_path, content, name), "a, b"))


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    for read in (lambda path: list(json_rows(path, "a, b")), lambda path: json_object(path, "numbers")):
        with pytest.raises(ConfigError, match=rf"^{tmp_path} cannot be read: Is a directory"):
            read(tmp_path)


def test_an_object_is_read_and_a_list_refused(tmp_path):
    assert json_object(written(tmp_path, '{"a": 1}'), "numbers") == {"a": 1}
    with pytest.raises(ConfigError, match="holds an empty list; expected an object of numbers"):
        json_object(written(tmp_path, "[]"), "numbers")
    with pytest.raises(ConfigError, match=r"none.json is missing; download it"):
        json_object(tmp_path / "none.json", "numbers")


@pytest.mark.parametrize(
    ("value", "text"), [(None, "nothing"), ("", "an empty str"), ({}, "an empty dict"), ([1], "list [1]")]
)
def test_values_are_described(value, text):
    assert described(value) == text
    assert len(described("x" * 99)) < 70
