from dataclasses import replace
from hashlib import sha256

import pytest

from merv.data.shards.index import Header, line_of, read_index, read_line, write_index
from merv.errors import ConfigError

LINES = [line_of({"id": "é", "messages": []}, [[512, 7]]), line_of({"id": "b"}, [[[1, 2], [3, 4]]])]


def header(**changes):
    about = {"shard": "0.tar", "size": 9, "sha256": "", "rows": 2, "numbers": [0, 1]}
    return Header(**{**about, "rows_sha256": sha256(b"".join(LINES)).hexdigest(), **changes})


@pytest.fixture
def path(tmp_path):
    write_index(tmp_path / "0.index.jsonl", header(), LINES)
    return tmp_path / "0.index.jsonl"


def test_rows_are_found_again_without_reading_the_others(path):
    index = read_index(path)

    found = [read_line(path, int(start), int(size)) for start, size in zip(index.starts, index.sizes, strict=True)]

    assert found[0] == {"row": {"id": "é", "messages": []}, "bytes": [[512, 7]]}
    assert found[1]["bytes"] == [[[1, 2], [3, 4]]]
    assert replace(index.header, numbers=list(index.header.numbers)) == header()


def test_an_index_without_rows_is_one(tmp_path):
    write_index(tmp_path / "a", header(rows=0, rows_sha256=sha256().hexdigest(), numbers=[]), [])

    assert len(read_index(tmp_path / "a").starts) == 0


def test_writing_leaves_the_checksum_of_the_file_and_nothing_beside_it(path):
    digest = write_index(path, header(), LINES)

    assert digest == sha256(path.read_bytes()).hexdigest()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda content: b"", "is no index of a shard: its first line is no header"),
        (lambda content: b'{"a": 1}\n', "first line is no header"),
        (lambda content: content[:-1], "is damaged: 1 whole rows of 2"),
        (lambda content: content + b"\n", "is damaged: 3 whole rows of 2"),
        (
            lambda content: content.replace(b"512", b"513"),
            "is damaged: 2 whole rows of 2, or others than were written",
        ),
        (lambda content: content.replace(b'"format": 1', b'"format": 2'), "has format 2, this merv reads 1"),
    ],
)
def test_a_damaged_index_is_one_line(path, damage, line):
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ConfigError, match=line) as caught:
        read_index(path)

    assert "\n" not in str(caught.value)


def test_an_index_that_changes_under_a_run_is_one_line(path):
    index = read_index(path)
    path.write_bytes(b"x" * 500)

    with pytest.raises(ConfigError, match="was changed while its rows were in use"):
        read_line(path, int(index.starts[0]), int(index.sizes[0]))
