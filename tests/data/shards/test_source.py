import pickle
from hashlib import sha256

import pytest
import torch

from merv.data.datasets import Mixture
from merv.data.ledger import BadRow
from merv.data.shards.index import Header, write_index
from merv.data.shards.listing import Listed, read_index
from merv.data.shards.rows import Shard
from merv.data.shards.source import ShardSource
from merv.video.decode import read_clip

from .making import convert, load, samples, without_places


@pytest.fixture
def rows(tmp_path):
    return samples(tmp_path / "media")


@pytest.mark.parametrize("shard_bytes", [10**9, 1])
def test_shards_give_the_samples_of_the_dataset_in_its_order(tmp_path, rows, shard_bytes):
    convert(rows, tmp_path / "out", shard_bytes=shard_bytes)

    source = load(tmp_path / "out", tmp_path / "cache")

    assert [without_places(sample) for sample in source] == [without_places(sample) for sample in rows]
    assert [source.origin(index) for index in (0, 8)] == [("webdataset", 0), ("webdataset", 8)]
    assert source.bad_rows == []


@pytest.mark.parametrize("shard_bytes", [10**9, 1])
def test_media_of_shards_decode_to_the_same_frames(tmp_path, rows, shard_bytes):
    convert(rows, tmp_path / "out", shard_bytes=shard_bytes)

    for sample, original in zip(load(tmp_path / "out", tmp_path / "cache"), rows, strict=True):
        for ref, file in zip(pickle.loads(pickle.dumps(sample)).media, original.media, strict=True):
            found, expected = read_clip(ref, 5), read_clip(file, 5)
            assert torch.equal(found.frames, expected.frames)
            assert (found.times, found.duration, found.span) == (expected.times, expected.duration, expected.span)


def test_rows_about_one_file_show_the_same_bytes_and_others_do_not(tmp_path, rows):
    convert(rows, tmp_path / "out")

    shown = [sample.media[0] if sample.media else None for sample in load(tmp_path / "out", tmp_path / "cache")]

    assert shown[0] == shown[3]
    assert shown[4] == shown[8]
    assert shown[6].within == shown[0].within
    assert len({shown[0], shown[2], shown[4], shown[5], shown[6]}) == 5
    assert len({ref.where for ref in shown if ref is not None}) == 5


def test_a_medium_tells_shard_and_member(tmp_path, rows):
    convert(rows, tmp_path / "out")
    source = load(tmp_path / "out", tmp_path / "cache")

    assert source[2].media[0].where == f"{tmp_path}/out/000000.tar:000000002.mkv"
    assert BadRow.of(source.origin(2), source[2], "odd").path == source[2].media[0].where


def test_a_mixture_of_shards_is_made_ready_row_by_row(tmp_path, rows):
    convert(rows, tmp_path / "out")
    source = load(tmp_path / "out", tmp_path / "cache")

    mixed = Mixture([source, source], [1.0, 0.0])

    assert mixed.ready(4) == source[4]
    assert mixed.origin(4) == source.origin(4)


def test_shards_of_several_datasets_follow_each_other(tmp_path, rows):
    convert(rows[:3], tmp_path / "one")
    convert(rows[3:], tmp_path / "two")

    source = load(f"{tmp_path}/{{two,one}}/*.tar", tmp_path / "cache")

    assert [sample.id for sample in source] == [row.id for row in [*rows[3:], *rows[:3]]]
    assert [source.origin(index)[1] for index in range(9)] == list(range(9))


def test_some_shards_of_a_dataset_keep_the_order(tmp_path, rows):
    convert(rows, tmp_path / "out", shard_bytes=1)

    source = load(f"{tmp_path}/out/{{000003,000000,000001}}.tar", tmp_path / "cache")

    numbers = [sample.meta["number"] for sample in source]
    assert numbers == sorted(numbers)
    assert [source.origin(place)[1] for place in range(len(numbers))] == numbers


def test_a_row_takes_a_few_bytes_of_memory_whatever_it_holds(tmp_path):
    """A million rows are arrays; no list grows with them."""
    path, count = tmp_path / "0.index.jsonl", 1000
    line = b'{"row":{"id":"a","messages":[]},"bytes":[]}' + b" " * 1000 + b"\n"
    digest = sha256(line * count).hexdigest()
    write_index(path, Header("0.tar", 1, "", count, digest, list(range(count))), [line] * count)

    source = ShardSource("own", [Listed(Shard(tmp_path / "0.tar"), read_index(path), str(tmp_path))] * 1000)

    arrays = [value for value in vars(source).values() if hasattr(value, "nbytes")]
    lists = [value for value in vars(source).values() if isinstance(value, list | tuple | dict | set)]
    assert len(source) == 1_000_000
    assert sum(each.nbytes for each in arrays) <= 24 * len(source)
    assert max(map(len, lists)) <= 1000
