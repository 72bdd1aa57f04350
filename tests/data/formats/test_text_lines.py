import pytest

from merv.data.formats.text_lines import text_lines
from merv.errors import ConfigError


def test_lines_come_without_marks_spaces_and_blanks(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfone \r\n\r\n  \n two three\n")

    assert list(text_lines(tmp_path / "list.txt")) == ["one", "two three"]


def test_a_file_that_is_none_is_told_in_one_line(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")

    with pytest.raises(ConfigError, match=r"latin\.txt is not UTF-8 text: .*; download it again$"):
        list(text_lines(tmp_path / "latin.txt"))
    with pytest.raises(ConfigError, match=r"none\.txt is missing; download it$"):
        list(text_lines(tmp_path / "none.txt"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        list(text_lines(tmp_path))
