from threading import Lock

import pytest

from merv.endpoint.chat import Prompt
from merv.endpoint.parallel import ask_each


def prompts(num):
    return {str(number): Prompt("", str(number)) for number in range(num)}


def ask(rule, num, **sizes):
    kept, calls, lock = {}, [], Lock()

    def replies(asked, stop):
        with lock:
            calls.append(len(asked))
        return [rule(prompt.user) for prompt in asked]

    def keep(key, reply):
        kept[key] = reply

    try:
        ask_each(prompts(num), replies, keep, **sizes)
    finally:
        ask.left = kept, calls
    return kept, calls


def test_every_reply_belongs_to_its_key_in_batches_of_the_size():
    kept, calls = ask(int, 10, concurrency=4, batch_size=3)

    assert kept == {str(number): number for number in range(10)}
    assert sorted(calls) == [1, 3, 3, 3]


def test_nothing_to_ask_asks_nothing():
    assert ask(int, 0) == ({}, [])


def test_the_first_failure_ends_it_and_what_came_before_is_kept():
    with pytest.raises(ZeroDivisionError):
        ask(lambda text: 1 // (3 - int(text)), 50)

    kept, calls = ask.left
    assert list(kept) == ["0", "1", "2"]
    assert len(calls) == 4


def test_a_disk_that_takes_nothing_more_ends_it_too():
    calls = []

    def full(key, reply):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        ask_each(prompts(50), lambda asked, stop: calls.append(asked) or ["x"], full)

    assert len(calls) == 1
