import json
import tarfile
from hashlib import sha256

import pytest

from merv.data.sample import Sample, Turn
from merv.data.shards.index import read_index
from merv.data.shards.writing import ShardWriter, room
from merv.errors import SampleError
from merv.video.media import MediaRef

from .making import ANSWER, convert, samples


@pytest.fixture
def rows(tmp_path):
    return samples(tmp_path / "media")


def members(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def test_members_of_a_sample_share_a_name_and_stand_together(tmp_path, rows):
    convert(rows, tmp_path / "out")

    names = list(members(tmp_path / "out" / "000000.tar"))

    frames = [f"000000004.{number:06d}.png" for number in range(12)]
    both = ["000000007.0.png", *(f"000000007.1.{number:06d}.png" for number in range(12))]
    assert names == [
        *("000000000.json", "000000000.mp4"),
        *("000000001.json",),
        *("000000002.json", "000000002.mkv"),
        *("000000004.json", *frames),
        *("000000005.json", "000000005.png"),
        *("000000007.json", *both),
    ]


def test_a_file_is_stored_once_for_all_rows_about_it(tmp_path, rows):
    convert(rows, tmp_path / "out")
    found = members(tmp_path / "out" / "000000.tar")

    several, one = json.loads(found["000000000.json"]), json.loads(found["000000002.json"])

    assert [row["id"] for row in several] == ["row-0", "row-3", "row-6"]
    assert [row["merv"]["row"] for row in several] == [0, 3, 6]
    assert one["id"] == "row-2"
    assert one["messages"][0]["content"][0] == {"type": "video", "video": "000000002.mkv"}
    assert found["000000002.mkv"] == rows[2].media[0].path.read_bytes()


def test_a_shard_closes_before_it_grows_beyond_its_size(tmp_path, rows):
    convert(rows, tmp_path / "out", shard_bytes=25_000)

    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").glob("*.tar"))]

    assert len(sizes) > 1
    assert all(size <= 25_000 + tarfile.RECORDSIZE for size in sizes)


def test_the_list_of_shards_tells_rows_sizes_and_checksums(tmp_path, rows):
    convert(rows, tmp_path / "out", shard_bytes=25_000)

    about = json.loads((tmp_path / "out" / "index.json").read_text())

    assert (about["dataset"], about["rows"], about["left_out"]) == ("own", 9, {})
    assert sum(entry["rows"] for entry in about["shards"]) == 9
    for entry in about["shards"]:
        content = (tmp_path / "out" / entry["name"]).read_bytes()
        index = tmp_path / "out" / entry["name"].replace(".tar", ".index.jsonl")
        header = read_index(index).header
        assert (entry["size"], entry["sha256"]) == (len(content), sha256(content).hexdigest())
        assert (header.size, header.sha256, header.rows) == (entry["size"], entry["sha256"], entry["rows"])
        assert entry["index_sha256"] == sha256(index.read_bytes()).hexdigest()


def test_the_same_rows_give_the_same_bytes(tmp_path, rows):
    convert(rows, tmp_path / "one")
    convert(rows, tmp_path / "two")

    assert (tmp_path / "one" / "000000.tar").read_bytes() == (tmp_path / "two" / "000000.tar").read_bytes()


def test_a_row_that_cannot_be_told_leaves_the_others_of_its_clip(tmp_path, rows):
    odd = Sample("odd", (Turn("user", "a"), ANSWER), rows[0].media, meta={"a": float("nan")})
    writer = ShardWriter(tmp_path, 10**9)

    [(number, sample, reason)] = writer.add([(3, odd), (5, rows[0])])
    writer.close()

    assert (number, sample) == (3, odd)
    assert "cannot be told in JSON" in reason
    assert list(members(tmp_path / "000000.tar")) == ["000000003.json", "000000003.mp4"]
    assert writer.shards[0]["rows"] == 1


def test_a_missing_medium_writes_nothing(tmp_path):
    row = Sample("a", (Turn("user", "a"), ANSWER), (MediaRef(tmp_path / "none.mp4"),))
    writer = ShardWriter(tmp_path, 10**9)

    with pytest.raises(SampleError, match=r"video `.*none\.mp4` does not exist"):
        writer.add([(0, row)])
    writer.close()

    assert list(tmp_path.iterdir()) == []


def test_room_is_what_a_tar_takes(tmp_path):
    assert [room(size) for size in (0, 1, 512, 513)] == [512, 1024, 1024, 1536]


@pytest.mark.parametrize("name", ["clip", "clip.M P4", "clip.mp4?sig=1"])
def test_a_member_has_a_plain_suffix_whatever_the_file_is_called(tmp_path, rows, name):
    file = tmp_path / name
    file.write_bytes(b"x")
    writer = ShardWriter(tmp_path, 10**9)

    writer.add([(0, Sample("a", (Turn("user", "a"), ANSWER), (MediaRef(file),)))])
    writer.close()

    assert list(members(tmp_path / "000000.tar")) == ["000000000.json", "000000000.bin"]
