import json
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merv.data.formats import row_file
from merv.data.formats.row_file import NotAListError, NotTextError, RowFile
from merv.errors import ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def written(tmp_path, content, name="rows.json"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@given(rows=st.lists(JSON, max_size=6), indent=st.sampled_from([None, 0, 3]), plain=st.booleans())
def test_any_list_gives_its_rows_in_order_and_again_by_number(folder, rows, indent, plain):
    text = json.dumps(rows, indent=indent, ensure_ascii=plain)
    found = RowFile(written(folder, text.encode("utf-8", "surrogatepass") if plain else _clean(text)))
    rows = json.loads(text if plain else _clean(text).decode())

    assert list(found) == rows
    assert [found.row(number) for number in reversed(range(len(found)))] == rows[::-1]


def _clean(text):
    return text.encode("utf-8", "replace")


@given(rows=st.lists(st.dictionaries(st.text(max_size=9), st.integers()), max_size=9), size=st.integers(1, 40))
def test_where_the_pieces_of_a_file_end_does_not_matter(folder, rows, size):
    path = written(folder, " " + _clean(json.dumps(rows, ensure_ascii=False)).decode() + "\n ", "pieces.json")
    whole = row_file.CHUNK
    try:
        row_file.CHUNK = size
        assert list(RowFile(path)) == json.loads(path.read_text("utf-8"))
    finally:
        row_file.CHUNK = whole


def test_lines_are_rows_blank_ones_are_none_and_a_byte_order_mark_is_passed_over(tmp_path):
    found = RowFile(written(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"a": "\xc3\xa9"}', "rows.jsonl"))

    assert list(found) == [{"a": 1}, {"a": "é"}]
    assert (found.row(1), found.row(0)) == ({"a": "é"}, {"a": 1})


def test_a_list_may_have_a_byte_order_mark(tmp_path):
    assert list(RowFile(written(tmp_path, b"\xef\xbb\xbf [1, 23]"))) == [1, 23]


@pytest.mark.parametrize(
    "content", ["", "{}", "[1", "[1,", "[1 2]", "[1,]", "[,1]", "[1] 2", "[1]]", '["a', "[tru]", "[" * 100_000]
)
def test_what_is_no_list_is_refused(tmp_path, content):
    with pytest.raises(NotAListError):
        list(RowFile(written(tmp_path, content)))


@pytest.mark.parametrize(("name", "content"), [("a.json", b'["a", "\xff"]'), ("a.jsonl", b'"a"\n"\xff"\n')])
def test_what_is_no_text_is_refused_with_its_place(tmp_path, name, content):
    with pytest.raises(NotTextError, match=f"at byte {content.index(0xFF)}"):
        list(RowFile(written(tmp_path, content, name)))


def test_a_file_that_changed_is_not_read_on(tmp_path):
    path = written(tmp_path, '[{"a": 1}, {"a": 2}]')
    found = RowFile(path)
    list(found)
    path.write_text('[{"bb": 1}, {"a": 2}]')
    os.utime(path, ns=(0, 1))

    with pytest.raises(ConfigError, match=r"rows.json was changed while its rows were in use; start again"):
        found.row(1)


def test_a_replaced_file_is_read_as_it_was_once_it_is_open(tmp_path):
    path = written(tmp_path, "[1, 2]")
    found = RowFile(path)
    list(found)
    assert found.row(0) == 1
    written(tmp_path, "[3, 4]", "new").replace(path)

    assert found.row(1) == 2


def test_it_travels_to_another_process(tmp_path):
    found = RowFile(written(tmp_path, "[1, 2]"))
    list(found)
    found.row(0)

    assert pickle.loads(pickle.dumps(found)).row(1) == 2


def test_rows_cost_twelve_bytes_each(tmp_path):
    found = RowFile(written(tmp_path, json.dumps(["x" * 1000] * 500)))
    list(found)

    assert found._starts.itemsize + found._sizes.itemsize == 12
    assert len(found) == 500
