import json
from pathlib import Path

import pytest

from merv.chat import Turn
from merv.data.formats.role_rows import (
    Skip,
    duration_in,
    listing,
    published_video,
    read_each,
    text_of,
    value_of,
    video_in,
)
from merv.data.ledger import BadRow
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError

PATH = Path("rows.json")


def samples_of(number, row):
    yield Sample(f"{number}-first", ())
    if row == "skip":
        raise Skip("for a reason")
    if row == "bad":
        raise SampleError("two\nlines")
    yield Sample(f"{number}-second", ())


def test_a_row_ends_as_samples_as_a_bad_row_or_as_skipped():
    broken = json.JSONDecodeError("no value", "x", 0)

    reading = read_each(["good", "skip", "bad", broken, "skip", "good"], samples_of, dataset="d", path=PATH)

    assert [sample.id for sample in reading.samples] == ["0-first", "0-second", "5-first", "5-second"]
    assert list(reading.rows) == [0, 0, 5, 5]
    assert reading.bad_rows == [
        BadRow("d", 2, "2", "rows.json", "two lines"),
        BadRow("d", 3, "3", "rows.json", "not JSON: no value at column 1"),
    ]
    assert reading.skipped == {"for a reason": 2}
    assert reading.num_rows == 6


@pytest.mark.parametrize(("row", "name"), [({"qid": 5, "vid": "v"}, "5"), ({"vid": "v"}, "v"), ({}, "0"), ([], "0")])
def test_a_bad_row_is_called_by_its_own_name_if_it_has_one(row, name):
    def refuse(number, row):
        raise SampleError("no")

    assert read_each([row], refuse, dataset="d", path=PATH).bad_rows[0].id == name


def test_the_first_field_that_is_there_counts():
    assert value_of({"b": 0, "a": None}, "a", "b") == 0
    assert text_of({"qid": 7}, "qid") == "7"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "field vid: found nothing; expected text"),
        ({"vid": ""}, "field vid: found an empty str"),
        ({"vid": True}, "field vid: found bool true"),
        ({"vid": ["a"]}, r"field vid: found list \[\"a\"\]"),
        ([1], r"found list \[1\]; expected an object"),
    ],
)
def test_a_field_that_is_no_text_is_refused(row, reason):
    with pytest.raises(SampleError, match=reason):
        text_of(row, "vid", "video")


@pytest.mark.parametrize("name", ["../a.mp4", "/etc/a.mp4", "a/../../b.mp4", "a\0.mp4"])
def test_a_video_outside_its_folder_is_refused(name):
    with pytest.raises(SampleError, match="leads out of videos"):
        video_in(Path("videos"), name)


@pytest.mark.parametrize("path", ["data/didemo/a.mp4", "./data/didemo/a.mp4", "didemo/a.mp4"])
def test_a_published_path_starts_at_the_users_folder(path):
    assert published_video(Path("/mnt"), path).path == Path("/mnt/didemo/a.mp4")


def test_a_published_path_may_not_lead_out():
    with pytest.raises(SampleError, match="leads out of"):
        published_video(Path("/mnt"), "data/../../etc/a.mp4")


def test_a_duration_that_is_not_listed_is_told_with_the_files_name():
    assert duration_in({"a": 3.0}, "a", Path("x/durations.json")) == 3.0
    with pytest.raises(SampleError, match=r"no duration of video `b` in durations.json"):
        duration_in({"a": 3.0}, "b", Path("x/durations.json"))


def test_a_folder_is_listed_or_named(tmp_path):
    (tmp_path / "a.mp4").touch()

    assert listing(tmp_path) == {"a.mp4"}
    with pytest.raises(ConfigError, match=r"video folder .*none cannot be listed: No such file"):
        listing(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("caf\ud800", r"the text holds '\ud800', half a character"), ("9" * 400, "a number is too large")],
)
def test_text_no_tokenizer_takes_and_numbers_beyond_all_seconds_make_a_bad_row(text, reason):
    def samples_of(number, row):
        float(int(row)) if row.isdecimal() else None
        yield Sample("a", (Turn("user", row),))

    reading = read_each(["ok", text, "\U0001f600"], samples_of, dataset="d", path=PATH)

    assert list(reading.rows) == [0, 2]
    assert reason in reading.bad_rows[0].reason
