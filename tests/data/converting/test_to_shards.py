import json
import shutil

import pytest
import torch

from data.shards.making import ANSWER, convert, load, samples, without_places
from merv.data.ledger import BadRow
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.video.decode import read_clip
from merv.video.media import MediaRef


@pytest.fixture
def rows(tmp_path):
    return samples(tmp_path / "media")


def lacking(rows, tmp_path):
    """The rows with two about a missing clip among them, and one that JSON cannot tell."""
    none = (MediaRef(tmp_path / "none.mp4"),)
    gone = [Sample(f"gone-{number}", (Turn("user", "a"), ANSWER), none) for number in range(2)]
    odd = Sample("odd", (Turn("user", "a"), ANSWER), rows[0].media, meta={"a": {1}})
    return [rows[0], gone[0], odd, *rows[1:], gone[1]]


def test_what_is_left_out_is_counted_and_listed(tmp_path, rows):
    refused = BadRow("own", 99, "bad", "list.json", "no turns")

    account = convert(lacking(rows, tmp_path), tmp_path / "out", missing="skip", bad_rows=[refused])

    left_out = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["row"], row["left_out_as"]) for row in left_out] == [
        ("bad", 99, "unreadable in the source"),
        ("odd", 2, "not to be told in messages"),
        ("gone-0", 1, "missing media"),
        ("gone-1", 11, "missing media"),
    ]
    assert "none.mp4` does not exist" in left_out[2]["reason"]
    about = json.loads((tmp_path / "out" / "index.json").read_text())["left_out"]
    assert about == {"missing media": 2, "not to be told in messages": 1, "unreadable in the source": 1}
    assert str(account).startswith("9 rows; left out: 2 missing media, 1 ")
    assert "(left_out.jsonl), the first: own row 99 (id `bad`, list.json): no turns" in str(account)


def test_rows_keep_their_numbers_when_others_are_left_out(tmp_path, rows):
    convert(lacking(rows, tmp_path), tmp_path / "out", missing="skip")

    source = load(tmp_path / "out", tmp_path / "cache")

    assert [without_places(sample) for sample in source] == [without_places(row) for row in rows]
    assert [source.origin(place)[1] for place in range(9)] == [0, *range(3, 11)]


def test_nothing_left_out_leaves_no_list(tmp_path, rows):
    assert str(convert(rows, tmp_path / "out")) == "9 rows"
    assert not (tmp_path / "out" / "left_out.jsonl").exists()


def test_a_missing_medium_stops_before_anything_is_written(tmp_path, rows):
    with pytest.raises(ConfigError, match=r"row 1 \(id `gone-0`\): .* --on_missing skip"):
        convert(lacking(rows, tmp_path), tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_to_write_is_one_line(tmp_path, rows):
    with pytest.raises(ConfigError, match="no row can be written; 0 rows; left out: 1 missing media"):
        convert(lacking(rows, tmp_path)[1:2], tmp_path / "out", missing="skip")


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 100))

    with pytest.raises(ConfigError, match=r"needs .* GB and .* has 0\.00 GB free"):
        convert(rows, tmp_path / "out")


def test_shards_are_made_of_shards(tmp_path, rows):
    convert(rows, tmp_path / "out", shard_bytes=1)
    source = load(tmp_path / "out", tmp_path / "cache")

    convert(list(source), tmp_path / "again")

    again = load(tmp_path / "again", tmp_path / "cache")
    assert [without_places(sample) for sample in again] == [without_places(row) for row in rows]
    for sample, row in zip(again, rows, strict=True):
        for ref, file in zip(sample.media, row.media, strict=True):
            assert torch.equal(read_clip(ref, 3).frames, read_clip(file, 3).frames)
