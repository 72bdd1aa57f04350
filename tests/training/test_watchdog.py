import logging
import multiprocessing
import threading
import time
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from merv.training.watchdog import Beat, Watchdog, describe_stall


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def make_store(port=0, *, master=True):
    return TCPStore("127.0.0.1", port, is_master=master, wait_for_workers=False, timeout=timedelta(seconds=10))


def stalls(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_the_line_names_the_rank_behind_its_phase_and_since_when():
    beats = [Beat(13, "forward", 95.0), Beat(12, "data", 0.0), Beat(13, "forward", 96.0)]

    assert describe_stall(beats, now=130.0) == (
        "training stands still: rank 1 is at step 12 in data for 130 s; the others wait at step 13 in forward; "
        "look for a file that hangs in decoding, slow storage, or dead loader workers"
    )


def test_the_phase_tells_who_is_behind_within_a_step():
    beats = [Beat(5, "backward", 10.0), Beat(5, "data", 1.0), Beat(5, "data", 2.0), Beat(5, "backward", 9.0)]

    line = describe_stall(beats, now=61.0)

    assert "ranks 1, 2 are at step 5 in data for 60 s; the others wait at step 5 in backward" in line


def test_a_rank_that_has_not_begun_is_named():
    line = describe_stall([Beat(1, "forward", 0.0), None], now=60.0)

    assert line == "training stands still: rank 1 has not begun; the others wait at step 1 in forward"


def test_when_all_are_at_one_place_nobody_is_blamed():
    line = describe_stall([Beat(5, "backward", 0.0), Beat(5, "backward", 1.0)], now=60.0)

    assert "all 2 ranks are at step 5 in backward for 60 s" in line


def test_alone_it_needs_no_store_and_reports_a_stall_once(caplog):
    heard = []
    with Watchdog(None, rank=0, world_size=1, timeout_s=0.1, poll_s=0.01, on_stall=heard.append) as watchdog:
        watchdog.beat(3, "data")
        assert wait_for(lambda: heard)
        time.sleep(0.05)

    assert len(heard) == 1
    assert stalls(caplog) == heard
    assert "at step 3 in data" in heard[0]


def test_a_new_stall_after_going_on_is_reported_again():
    heard = []
    with Watchdog(None, rank=0, world_size=1, timeout_s=0.05, poll_s=0.01, on_stall=heard.append) as watchdog:
        for step in (1, 2):
            watchdog.beat(step, "forward")
            assert wait_for(lambda count=step: len(heard) == count)

    assert "step 2" in heard[1]


def test_no_stall_before_the_first_beat_or_while_beats_come():
    heard = []
    with Watchdog(None, rank=0, world_size=1, timeout_s=0.25, poll_s=0.01, on_stall=heard.append) as watchdog:
        time.sleep(0.3)
        for step in range(15):
            watchdog.beat(step, "forward")
            time.sleep(0.02)

    assert heard == []


def test_two_ranks_agree_on_who_is_behind_and_one_line_is_logged(caplog):
    store, heard = make_store(), {0: [], 1: []}
    dogs = [
        Watchdog(store, rank=r, world_size=2, timeout_s=0.3, poll_s=0.02, on_stall=heard[r].append) for r in (0, 1)
    ]
    with dogs[0], dogs[1]:
        dogs[1].beat(12, "data")
        dogs[0].beat(13, "forward")
        assert wait_for(lambda: heard[0] and heard[1])

    assert "rank 1 is at step 12 in data" in heard[0][0]
    assert len(stalls(caplog)) == 1


def test_a_blocking_call_of_the_main_thread_on_the_store_does_not_hold_it_up():
    store, heard = make_store(), []
    blocked = threading.Thread(target=lambda: store.wait(["go"], timedelta(seconds=10)), daemon=True)
    blocked.start()
    with Watchdog(store, rank=0, world_size=2, timeout_s=0.1, poll_s=0.02, on_stall=heard.append) as watchdog:
        watchdog.beat(1, "forward")
        noticed = wait_for(lambda: heard, seconds=5.0)
        still_blocked = blocked.is_alive()
        store.clone().set("go", "")
    blocked.join(timeout=10)

    assert noticed
    assert still_blocked
    assert "rank 1 has not begun" in heard[0]


def stall_in_data(port):
    """The other process: begins step 2 and hangs in it."""
    with Watchdog(make_store(port, master=False), rank=1, world_size=2, timeout_s=60, poll_s=0.02) as watchdog:
        watchdog.beat(2, "data")
        time.sleep(30)


@pytest.mark.dist
def test_a_process_that_hangs_or_dies_is_named_by_the_other(caplog):
    store, heard = make_store(), []
    process = multiprocessing.get_context("spawn").Process(target=stall_in_data, args=(store.port,), daemon=True)
    process.start()
    try:
        store.wait(["merv/watchdog/beat/1"], timedelta(seconds=60))
        process.kill()
        with Watchdog(store, rank=0, world_size=2, timeout_s=0.2, poll_s=0.02, on_stall=heard.append) as watchdog:
            watchdog.beat(3, "backward")
            assert wait_for(lambda: heard)
    finally:
        process.kill()
        process.join(timeout=10)

    assert "rank 1 is at step 2 in data" in heard[0]
    assert "the others wait at step 3 in backward" in heard[0]


def test_it_ends_with_a_line_when_the_store_is_gone(caplog):
    store = make_store()
    client = make_store(store.port, master=False)
    watchdog = Watchdog(client, rank=1, world_size=2, timeout_s=60, poll_s=0.02)
    del store

    def noticed():
        watchdog.beat(1, "data")
        return "store does not answer" in caplog.text

    with watchdog:
        assert wait_for(noticed)
