import errno
import hashlib
import threading

import pytest

from merv.data.download import transfer
from merv.data.download.fetch import fetch
from merv.data.download.listing import RemoteFile, list_files
from merv.data.download.progress import Progress
from merv.data.download.recipe import Recipe, Source
from merv.data.download.transfer import StoppedError, Transfer, part_of
from merv.errors import ConfigError

from .archives import noise

REPO = "someone/sets"
BODY = noise(40_000)
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def published(hub):
    """A hub with one large file and one address."""
    hub.repos[REPO] = {"large.bin": BODY, "small.json": b"{}"}
    hub.lfs = {"large.bin"}
    hub.plain = {"plain.bin": BODY}
    return hub


def remote(hub, name) -> RemoteFile:
    sources = [Source(dataset=REPO), Source(urls={"plain.bin": f"{hub.url}/plain/plain.bin"})]
    files = list_files(Recipe("w", page="https://page", name="r", sources=sources)).files
    return next(file for file in files if file.path == name)


def transferring(file, tmp_path, stop=None):
    counted = []
    target = tmp_path / "out" / file.path
    return counted, Transfer(file, target, add=counted.append, stop=stop or threading.Event(), again="merv again")


def refused(file, tmp_path):
    with pytest.raises(ConfigError) as caught:
        transferring(file, tmp_path)[1].run()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", ["large.bin", "small.json", "plain.bin"])
def test_a_file_comes_whole_under_its_name(published, tmp_path, name):
    file = remote(published, name)
    counted, one = transferring(file, tmp_path)

    digest = one.run()

    body = (tmp_path / "out" / name).read_bytes()
    assert digest == hashlib.sha256(body).hexdigest()
    assert sum(counted) == len(body) == file.size
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_a_token_goes_to_the_hub_and_to_nobody_else(published, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    for name in ("large.bin", "plain.bin"):
        transferring(remote(published, name), tmp_path)[1].run()

    assert "Bearer hf_secret" in published.own_tokens
    assert set(published.tokens) == {None}


@pytest.mark.parametrize("name", ["large.bin", "plain.bin"])
def test_a_cut_connection_goes_on_where_it_broke(published, tmp_path, name):
    published.cuts[name] = 1
    counted, one = transferring(remote(published, name), tmp_path)

    assert one.run() == SUM

    assert published.num_sent[name] == len(BODY)
    assert sum(counted) == len(BODY)


def test_a_later_run_goes_on_with_what_an_earlier_one_left(published, tmp_path):
    file = remote(published, "large.bin")
    published.cuts["large.bin"] = None
    line = refused(file, tmp_path)
    published.cuts.clear()
    sent = published.num_sent["large.bin"]

    assert transferring(file, tmp_path)[1].run() == SUM

    assert f"the connection broke {transfer.ATTEMPTS} times without a byte" in line
    assert f"{len(BODY) // 2} of {len(BODY)} bytes are kept, to go on: merv again" in line
    assert sent == len(BODY) // 2
    assert published.num_sent["large.bin"] == len(BODY)


def test_a_server_that_ignores_ranges_sends_all_of_it_again(published, tmp_path):
    published.cuts["plain.bin"] = 1
    published.ignores_ranges = True
    counted, one = transferring(remote(published, "plain.bin"), tmp_path)

    assert one.run() == SUM

    assert published.num_sent["plain.bin"] == len(BODY) // 2 + len(BODY)
    assert sum(counted) == len(BODY)


def test_a_busy_server_is_asked_again(published, tmp_path):
    published.busy = 3

    assert transferring(remote(published, "plain.bin"), tmp_path)[1].run() == SUM


def test_a_file_that_changes_while_it_is_fetched_is_not_mixed(published, tmp_path):
    file = remote(published, "plain.bin")
    published.cuts["plain.bin"] = None
    refused(file, tmp_path)
    published.cuts.clear()
    published.plain["plain.bin"] = noise(len(BODY), seed=2)

    assert "has changed since the download began; to fetch it: merv again" in refused(file, tmp_path)
    other = remote(published, "plain.bin")
    assert transferring(other, tmp_path)[1].run() == hashlib.sha256(noise(len(BODY), seed=2)).hexdigest()


def test_a_part_of_other_bytes_is_found_by_its_checksum(published, tmp_path):
    file = remote(published, "large.bin")
    part = part_of(tmp_path / "out" / "large.bin", file)
    part.parent.mkdir()
    part.write_bytes(bytes(100))

    line = refused(file, tmp_path)

    assert "came with checksum" in line
    assert f"expected {SUM[:16]}...; what came is deleted, to fetch it again: merv again" in line
    assert not part.exists()
    assert transferring(file, tmp_path)[1].run() == SUM


def test_a_part_larger_than_the_file_is_begun_again(published, tmp_path):
    file = remote(published, "large.bin")
    part = part_of(tmp_path / "out" / "large.bin", file)
    part.parent.mkdir()
    part.write_bytes(bytes(len(BODY) + 1))

    assert transferring(file, tmp_path)[1].run() == SUM


def test_a_part_nobody_can_tell_from_another_files_is_begun_again(published, tmp_path):
    file = RemoteFile("plain.bin", f"{published.url}/plain/plain.bin", size=None)
    part = part_of(tmp_path / "out" / "plain.bin", file)
    part.parent.mkdir()
    part.write_bytes(bytes(100))

    assert transferring(file, tmp_path)[1].run() == SUM


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ("gated", "access is refused; accept the licence at https://huggingface.co/datasets/someone/sets and log in"),
        ("no such file", "small.json; see https://huggingface.co/datasets/someone/sets"),
        ("no such repository", "there is no repository someone/sets, or it is private"),
    ],
)
def test_a_refusal_is_told_at_once(published, tmp_path, refusal, message):
    file = remote(published, "small.json")
    published.refusals[REPO] = refusal
    asked = len(published.asked)

    assert message in refused(file, tmp_path)
    assert len(published.asked) == asked + 1


def test_an_address_that_refuses_is_told(published, tmp_path):
    file = remote(published, "plain.bin")
    published.refusals["plain.bin"] = "bad token"

    assert "plain.bin is refused (status 401" in refused(file, tmp_path)


class FullDisk:
    """A file that has room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, chunk):
        if self.file.tell() + len(chunk) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(chunk)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_keeps_what_came_and_says_how_to_go_on(published, tmp_path, monkeypatch):
    file = remote(published, "large.bin")
    receive = Transfer._receive
    monkeypatch.setattr(Transfer, "_receive", lambda self, out: receive(self, FullDisk(out, 20_000)))

    line = refused(file, tmp_path)
    monkeypatch.undo()
    part = part_of(tmp_path / "out" / "large.bin", file)

    assert "the disk is full after 0.00 GB of" in line
    assert "what came is kept, make room, then go on: merv again" in line
    assert part.is_file()


def test_a_stopped_transfer_ends_and_keeps_what_came(published, tmp_path):
    stop = threading.Event()
    file = remote(published, "large.bin")
    _, one = transferring(file, tmp_path, stop)
    stop.set()

    with pytest.raises(StoppedError):
        one.run()

    assert part_of(one.target, file).is_file()


def test_one_failure_ends_the_others_and_is_what_is_told(published, tmp_path, monkeypatch):
    files = [remote(published, name) for name in ("plain.bin", "large.bin", "small.json")]
    ended, begun = [], threading.Event()

    def run(self):
        if self.file.path == "plain.bin":
            begun.wait(timeout=30)
            raise ConfigError("plain.bin is refused")
        begun.set()
        ended.append((self.file.path, self._stop.wait(timeout=30)))
        raise StoppedError

    monkeypatch.setattr(Transfer, "run", run)
    with pytest.raises(ConfigError, match=r"plain\.bin is refused"), Progress(0, print, terminal=False) as progress:
        fetch(files, tmp_path, workers=2, progress=progress, again="merv again", done=lambda file, digest: None)

    assert ended == [("large.bin", True)], "what has not begun does not begin"


def test_an_empty_file_is_a_file(hub, tmp_path):
    hub.repos[REPO] = {"empty": b""}
    hub.plain = {"plain.bin": b""}

    for name in ("empty", "plain.bin"):
        assert transferring(remote(hub, name), tmp_path)[1].run() == hashlib.sha256(b"").hexdigest()
        assert (tmp_path / "out" / name).read_bytes() == b""
