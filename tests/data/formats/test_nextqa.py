import csv

import pytest

from merv.data.formats.nextqa import read
from merv.errors import ConfigError

from ..role_layout import COLUMNS, NEXTQA, write


def read_rows(tmp_path, *rows, columns=COLUMNS):
    with (tmp_path / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    places = write(tmp_path / "map.json", {"4010": "11/4010"})
    return read(tmp_path / "train.csv", places, tmp_path / "videos", dataset="n")


def row(**change):
    return list({**dict(zip(COLUMNS, NEXTQA, strict=True)), **change}.values())


def test_a_row_is_a_question_with_five_options(tmp_path):
    (sample,) = read_rows(tmp_path, row(a1="one, two")).samples

    assert sample.id == "n-4010_6"
    assert sample.media[0].path == tmp_path / "videos" / "11" / "4010.mp4"
    assert sample.meta == {
        "task": "choice",
        "question": "who runs?",
        "options": ["a", "one, two", "c", "d", "e"],
        "answer": 2,
    }


def test_a_question_with_its_mark_gets_no_second(tmp_path):
    assert read_rows(tmp_path, row(question="who runs?")).samples[0].meta["question"] == "who runs?"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"video": "5"}, "no path of video `5` in map.json"),
        ({"answer": "c"}, "answer 'c' is none of its 5 options"),
        ({"answer": "5"}, "answer '5' is none of its 5 options"),
        ({"a3": ""}, "field a3: found an empty str"),
    ],
)
def test_a_bad_row_is_set_aside(tmp_path, change, reason):
    (bad,) = read_rows(tmp_path, row(**change)).bad_rows

    assert reason in bad.reason


def test_files_that_are_no_lists_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"train.csv has no column qid, a4; download it again"):
        read_rows(tmp_path, columns=[name for name in COLUMNS if name not in ("qid", "a4")])
    with pytest.raises(ConfigError, match=r"none.csv is missing; download it"):
        read(tmp_path / "none.csv", tmp_path / "map.json", tmp_path, dataset="n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary.csv is no CSV"):
        read(tmp_path / "binary.csv", tmp_path / "map.json", tmp_path, dataset="n")
