import errno
import multiprocessing
import os
import pickle
import shutil
import threading
import time
from hashlib import sha256

import pytest
from backbones.hub_server import closed_port

from merv.data.shards import fetch as module
from merv.data.shards.fetch import NotThereError, Remote, fetch, locked, make_room, read_url
from merv.errors import ConfigError, SampleError

CONTENT = os.urandom(3000)
SUM = sha256(CONTENT).hexdigest()


@pytest.fixture
def url(web):
    web.plain["0.tar"] = CONTENT
    return f"{web.url}/plain/0.tar"


def test_a_file_is_fetched_whole_once(web, url, tmp_path):
    for _ in range(2):
        fetch(url, tmp_path / "in" / "0.tar", size=3000, sha256=SUM)

    assert (tmp_path / "in" / "0.tar").read_bytes() == CONTENT
    assert web.num_sent["0.tar"] == 3000
    assert [path.name for path in sorted((tmp_path / "in").iterdir())] == [".0.tar.lock", "0.tar"]


def test_of_several_processes_one_fetches_and_the_others_wait(web, url, tmp_path):
    context, path = multiprocessing.get_context("fork"), tmp_path / "0.tar"
    with locked(path):
        processes = [context.Process(target=fetch, args=(url, path), kwargs={"sha256": SUM}) for _ in range(3)]
        for process in processes:
            process.start()
        time.sleep(0.1)
        assert web.num_sent == {}
        assert all(process.is_alive() for process in processes)
    for process in processes:
        process.join(timeout=20)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert path.read_bytes() == CONTENT
    assert web.num_sent["0.tar"] == 3000


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_connection_that_breaks_off_is_taken_up_again(web, url, tmp_path, ignores_ranges):
    web.cuts["0.tar"], web.ignores_ranges = 1, ignores_ranges

    fetch(url, tmp_path / "0.tar", size=3000, sha256=SUM)

    assert (tmp_path / "0.tar").read_bytes() == CONTENT
    assert web.num_sent["0.tar"] == (4500 if ignores_ranges else 3000)


def test_what_a_killed_process_left_is_continued(web, url, tmp_path):
    (tmp_path / "0.tar.partial").write_bytes(CONTENT[:1000])

    fetch(url, tmp_path / "0.tar", size=3000, sha256=SUM)

    assert (tmp_path / "0.tar").read_bytes() == CONTENT
    assert web.num_sent["0.tar"] == 2000


def test_what_is_left_whole_is_taken_as_it_is(web, url, tmp_path):
    (tmp_path / "0.tar.partial").write_bytes(CONTENT)

    fetch(url, tmp_path / "0.tar", size=3000, sha256=SUM)

    assert web.num_sent == {}


def test_a_busy_server_is_asked_again(web, url, tmp_path):
    web.busy = 2

    fetch(url, tmp_path / "0.tar", size=3000)

    assert (tmp_path / "0.tar").read_bytes() == CONTENT


def test_another_checksum_is_one_line_and_leaves_nothing(web, url, tmp_path):
    with pytest.raises(ConfigError, match=rf"{url} has checksum {SUM[:12]}, not abcabc as its index says"):
        fetch(url, tmp_path / "0.tar", size=3000, sha256="abcabc")

    assert [path.name for path in tmp_path.iterdir()] == [".0.tar.lock"]


def test_another_size_is_one_line(web, url, tmp_path):
    with pytest.raises(ConfigError, match="has 3000 bytes, its index says 2000; upload both again"):
        fetch(url, tmp_path / "0.tar", size=2000)


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("{web}/plain/none.tar", "cannot be had: the server answers 404"),
        ("http://127.0.0.1:{port}/0.tar", r"cannot be fetched: .*refused.* \(3 tries\); check the address"),
        ("file://{folder}/none.tar", "is not there"),
        ("nosuch://bucket/0.tar", "Protocol not known: nosuch"),
        ("http://127.0.0.1:{port}x/0.tar", "nonnumeric port|cannot be fetched"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line(web, tmp_path, address, line):
    address = address.format(web=web.url, port=closed_port(), folder=tmp_path)

    with pytest.raises(ConfigError, match=line) as caught:
        fetch(address, tmp_path / "0.tar")

    assert str(caught.value).startswith(address)
    assert "\n" not in str(caught.value)


def test_a_connection_that_always_breaks_off_is_one_line_and_keeps_what_came(web, url, tmp_path):
    web.cuts["0.tar"] = None

    with pytest.raises(ConfigError, match=r"cannot be fetched: the connection broke off at byte 1500 of 3000"):
        fetch(url, tmp_path / "0.tar", size=3000)

    assert (tmp_path / "0.tar.partial").read_bytes() == CONTENT[:1500]


def test_a_protocol_without_its_package_names_it(monkeypatch, tmp_path):
    def lacking(*args):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.open", lacking)

    with pytest.raises(ConfigError, match=r"s3://a/0\.tar: Install s3fs to access S3"):
        fetch("s3://a/0.tar", tmp_path / "0.tar")


@pytest.mark.parametrize("name", ["file", "memory"])
def test_other_protocols_go_through_fsspec(tmp_path, name):
    import fsspec

    address = f"file://{tmp_path}/there.tar" if name == "file" else "memory://there.tar"
    with fsspec.open(address, "wb") as file:
        file.write(CONTENT)
    (tmp_path / "0.tar.partial").write_bytes(CONTENT[:1000])

    fetch(address, tmp_path / "0.tar", size=3000, sha256=SUM)

    assert (tmp_path / "0.tar").read_bytes() == CONTENT
    assert read_url(address) == CONTENT


def test_a_disk_without_room_is_told_before_anything_is_fetched(web, url, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 100))

    with pytest.raises(ConfigError, match=r"needs 0\.00 GB and .* free"):
        fetch(url, tmp_path / "0.tar", size=3000)

    assert web.num_sent == {}


def test_a_disk_that_fills_up_is_one_line(web, url, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)

    with pytest.raises(ConfigError, match="No space left on device"):
        fetch(url, tmp_path / "0.tar", size=3000)


def test_a_reader_that_needs_a_shard_gets_a_bad_sample_where_it_cannot_be_had(web, url, tmp_path):
    good, bad = Remote(url, 3000, SUM), Remote(f"{web.url}/plain/none.tar", 1, "")

    pickle.loads(pickle.dumps(good)).bring(tmp_path / "0.tar")

    assert (tmp_path / "0.tar").read_bytes() == CONTENT
    with pytest.raises(SampleError, match="answers 404"):
        bad.bring(tmp_path / "1.tar")


def test_the_cache_drops_what_was_longest_not_used(web, url, tmp_path):
    paths = [tmp_path / f"{number}.tar" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(1000))
        os.utime(path, (number, number))
    (tmp_path / "0.index.jsonl").write_bytes(bytes(5000))

    Remote(url, 1000, "", cache_gb=1e-5).bring(paths[0])  # is used again: now the youngest
    make_room(tmp_path, 2.5e-6, keep=paths[3])

    assert sorted(path.name for path in tmp_path.glob("*.*")) == [".room.lock", "0.index.jsonl", "0.tar", "3.tar"]


def test_the_shard_in_use_stays_however_small_the_cache(web, url, tmp_path):
    (tmp_path / "old.tar").write_bytes(bytes(10))

    Remote(url, 3000, SUM, cache_gb=1e-9).fetch(tmp_path / "0.tar")

    assert [path.name for path in tmp_path.glob("*.tar")] == ["0.tar"]


def test_a_file_that_vanishes_while_room_is_made_is_no_matter(tmp_path):
    (tmp_path / "a.tar").write_bytes(bytes(10))
    threads = [threading.Thread(target=make_room, args=(tmp_path, 1e-9), kwargs={"keep": tmp_path}) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(tmp_path.glob("*.tar")) == []


def test_what_is_not_there_is_told_apart_from_what_cannot_be_reached(web):
    with pytest.raises(NotThereError):
        read_url(f"{web.url}/plain/none")
    with pytest.raises(ConfigError) as caught:
        read_url(f"http://127.0.0.1:{closed_port()}/a")
    assert not isinstance(caught.value, NotThereError)
    assert module.TRIES == 3
