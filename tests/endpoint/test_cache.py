import json
import os
import threading

import pytest

from merv.endpoint.cache import FILE, Kept, ReplyCache
from merv.endpoint.usage import Usage
from merv.errors import ConfigError, RunStopped


def test_a_reply_is_there_in_the_next_cache(tmp_path):
    cache = ReplyCache(tmp_path / "a/b")
    cache.put("k", Kept("first", 1))
    cache.put("k", Kept("it\u2028is\n\ud800 odd", 2, Usage(3, 4)))
    cache.close()

    assert ReplyCache(tmp_path / "a/b").get("k") == Kept("it\u2028is\n\ud800 odd", 2, Usage(3, 4))


def test_a_reply_whose_tokens_nobody_counted_is_kept_as_before(tmp_path):
    cache = ReplyCache(tmp_path)
    cache.put("k", Kept("r"))
    cache.close()

    assert json.loads((tmp_path / FILE).read_text()) == {"key": "k", "reply": "r", "attempts": 1}
    assert ReplyCache(tmp_path).get("k") == Kept("r")


def test_a_line_that_a_crash_cut_off_is_absent_and_spoils_no_other(tmp_path):
    cache = ReplyCache(tmp_path)
    cache.put("a", Kept("1"))
    cache.put("b", Kept("2"))
    cache.close()
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-12])

    torn = ReplyCache(tmp_path)
    torn.put("c", Kept("3"))
    torn.close()

    again = ReplyCache(tmp_path)
    assert [again.get(key) for key in "abc"] == [Kept("1"), None, Kept("3")]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "5",
        '{"key": "k", "reply": "r"}',
        '{"key": "k", "reply": "", "attempts": []}',
        '{"key": "k", "reply": "", "attempts": 1, "usage": 5}',
    ],
)
def test_a_line_of_another_kind_is_passed_over(tmp_path, line):
    (tmp_path / FILE).write_text(line + "\n")

    assert ReplyCache(tmp_path).get("k") is None


def test_threads_and_two_caches_on_one_folder_lose_nothing(tmp_path):
    caches = [ReplyCache(tmp_path), ReplyCache(tmp_path)]

    def write(number):
        for i in range(50):
            caches[number % 2].put(f"{number}-{i}", Kept("x" * (i * 40)))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    known = ReplyCache(tmp_path)
    assert all(known.get(f"{number}-{i}") == Kept("x" * (i * 40)) for number in range(8) for i in range(50))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"judge cache .*file cannot be used: .*set judge\.cache_dir"):
        ReplyCache(tmp_path / "file")


def test_a_disk_that_takes_no_more_stops_the_run_in_one_line(tmp_path, monkeypatch):
    cache = ReplyCache(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunStopped, match="cannot be written: No space left on device"):
        cache.put("k", Kept("r"))
    assert cache.get("k") is None


def test_messages_name_whose_cache_it_is(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"replies of x .*file cannot be used: .*set --y"):
        ReplyCache(tmp_path / "file", name="replies of x", option="--y")
