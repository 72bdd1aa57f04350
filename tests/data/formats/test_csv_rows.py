import pytest

from merv.data.formats.csv_rows import csv_rows
from merv.errors import ConfigError


def test_rows_are_texts_by_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('﻿video,question\n1,"who, and why"\n', encoding="utf-8")

    assert csv_rows(path, ("video", "question")) == [{"video": "1", "question": "who, and why"}]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"video\n1\n", r"a\.csv has no column question, answer; download it again"),
        (b"", r"a\.csv has no column video, question, answer; download it again"),
        (b"video\n\xff\n", r"a\.csv is no CSV: .* download it again"),
        (b"video\n" + b"x" * 200_000, r"a\.csv is no CSV: field larger than field limit"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, content, says):
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=says) as caught:
        csv_rows(path, ("video", "question", "answer"))

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.csv is missing; download it"):
        csv_rows(tmp_path / "a.csv", ())


def test_a_folder_in_place_of_a_list_is_named(tmp_path):
    with pytest.raises(ConfigError, match=rf"^{tmp_path} cannot be read: Is a directory"):
        csv_rows(tmp_path, ["a"])
