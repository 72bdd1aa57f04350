import sys

import pytest

from merv.data.formats.parquet_rows import parquet_rows
from merv.errors import ConfigError

from ..choice_layout import write_parquet


def test_rows_are_those_that_were_written(tmp_path):
    rows = [{"id": "a", "options": ["x", "y"], "right": 1}, {"id": "b", "options": [], "right": None}]

    assert parquet_rows(write_parquet(tmp_path / "t.parquet", rows)) == rows


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(
        ConfigError, match=r"t\.parquet is parquet, which needs pyarrow: pip install 'merv\[parquet\]'$"
    ):
        parquet_rows(tmp_path / "t.parquet")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"t\.parquet is missing; download it$"):
        parquet_rows(tmp_path / "t.parquet")


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"t\.parquet is no parquet: .*; download it again$") as caught:
        parquet_rows(path)
    assert "\n" not in str(caught.value)
