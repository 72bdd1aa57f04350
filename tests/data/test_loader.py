import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from merv.data.ledger import BadSampleLedger
from merv.data.loader import Loader
from merv.data.sample import Batch
from merv.data.workers import WorkerError
from merv.errors import ConfigError, RunStopped, SampleError

from . import preparing
from .preparing import collate, make_dataset

PLAN = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 0, 5]]


def skipping(path=None, **options):
    return BadSampleLedger(path, policy="skip", max_bad_fraction=0.5, **options)


def wait_until_gone(pids, seconds=15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        alive = [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return []
        time.sleep(0.02)
    return alive


def run_plan(num_workers, tmp_path, dataset, **options):
    path = tmp_path / f"bad_{num_workers}.jsonl"
    with Loader(dataset, collate, PLAN, num_workers=num_workers, ledger=skipping(path), **options) as loader:
        batches = list(loader)
    return batches, path.read_text() if path.exists() else ""


def test_batches_and_ledger_are_the_same_on_any_number_of_workers(tmp_path):
    dataset = make_dataset(10, bad=[1, 4, 5], slow=[0, 3], memory=[9])

    runs = [run_plan(n, tmp_path, dataset) for n in (0, 1, 2)]

    assert [batch.indices for batch in runs[0][0]] == [(0, 2, 2), (3, 6, 6), (6, 7, 8), (0, 0, 6)]
    for batches, ledger in runs[1:]:
        assert ledger == runs[0][1]
        for batch, expected in zip(batches, runs[0][0], strict=True):
            assert batch.indices == expected.indices
            assert batch.sample_ids == expected.sample_ids
            torch.testing.assert_close(batch.input_ids, expected.input_ids)
            torch.testing.assert_close(batch.frames, expected.frames)


def test_batches_come_in_plan_order_when_the_first_is_slowest():
    dataset = make_dataset(10, slow=[0])

    with Loader(dataset, collate, PLAN, num_workers=2, prefetch_batches=3) as loader:
        assert [batch.indices[0] for batch in loader] == [0, 3, 6, 9]


def test_a_sample_that_hangs_is_replaced_and_its_worker_killed(tmp_path):
    dataset = make_dataset(10, hang=[4])
    start = time.monotonic()

    batches, ledger = run_plan(2, tmp_path, dataset, decode_deadline_s=1.0)

    assert time.monotonic() - start < 30
    assert batches[1].indices == (3, 5, 5)
    row = json.loads(ledger)
    assert (row["dataset"], row["row"], row["id"]) == ("toy", 4, "s4")
    assert "longer than 1 s" in row["reason"]


def test_a_sample_that_kills_its_worker_is_replaced(tmp_path):
    batches, ledger = run_plan(2, tmp_path, make_dataset(10, die=[0]))

    assert batches[0].indices == (1, 1, 2)
    assert "worker died: it was killed" in json.loads(ledger)["reason"]


def test_workers_dying_one_after_the_other_stop_the_run():
    dataset = make_dataset(10, die=range(10))

    with (
        Loader(dataset, collate, PLAN, num_workers=1, ledger=skipping(), max_deaths=2) as loader,
        pytest.raises(RunStopped, match="3 loader workers died one after the other"),
    ):
        next(loader)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_replacing_without_end_stops_the_run(num_workers):
    dataset = make_dataset(10, bad=range(10))

    with (
        Loader(dataset, collate, PLAN, num_workers=num_workers, ledger=skipping(), max_replacements=4) as loader,
        pytest.raises(RunStopped, match="5 rows one after the other are bad"),
    ):
        next(loader)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_bad_sample_raises_by_default(num_workers):
    with (
        Loader(make_dataset(10, bad=[4]), collate, PLAN, num_workers=num_workers) as loader,
        pytest.raises(SampleError, match=r"toy row 4 \(id `s4`, no media\): cannot decode s4"),
    ):
        list(loader)


def test_a_fault_in_prepare_carries_the_workers_traceback():
    with (
        Loader(make_dataset(10, fault=[0]), collate, PLAN, num_workers=1, ledger=skipping()) as loader,
        pytest.raises(WorkerError, match=r"(?s)in prepare_by_fate.*a fault of ours"),
    ):
        next(loader)


def test_a_fault_in_collate_reaches_the_consumer():
    def broken(examples, *, indices):
        raise IndexError("collate is broken")

    with (
        Loader(make_dataset(10), broken, PLAN, num_workers=1) as loader,
        pytest.raises(IndexError, match="collate is broken"),
    ):
        next(loader)


def test_a_fault_in_the_plan_reaches_the_consumer():
    def plan():
        yield [0]
        raise ConfigError("the plan is broken")

    with (
        Loader(make_dataset(10), collate, plan(), num_workers=1) as loader,
        pytest.raises(ConfigError, match="the plan is broken"),
    ):
        list(loader)


def test_prepare_that_cannot_be_pickled_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"cannot travel to loader workers.*num_workers to 0"):
        Loader(make_dataset(10, prepare=lambda sample: None), collate, PLAN, num_workers=1)


def test_no_process_is_left_after_close_while_workers_are_busy():
    loader = Loader(make_dataset(10, hang=range(10)), collate, PLAN, num_workers=2)
    pids = loader.worker_pids

    loader.close()

    assert wait_until_gone(pids) == []
    assert list(loader) == []


def test_no_process_is_left_after_an_error():
    loader = Loader(make_dataset(10, bad=[0]), collate, PLAN, num_workers=2)
    pids = loader.worker_pids

    with pytest.raises(SampleError):
        next(loader)

    assert wait_until_gone(pids) == []


def test_workers_end_when_their_parent_is_killed():
    here = Path(__file__).resolve()
    code = (
        "import sys, time\n"
        "from merv.data.loader import Loader\n"
        f"from {preparing.__name__} import collate, make_dataset\n"
        "if __name__ == '__main__':\n"
        "    loader = Loader(make_dataset(4, hang=range(4)), collate, [[0, 1]], num_workers=2)\n"
        "    print(*loader.worker_pids, flush=True)\n"
        "    time.sleep(60)\n"
    )
    top = here.parents[len(preparing.__name__.split(".")) - 1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parents[2]), str(top)])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        os.kill(parent.pid, signal.SIGKILL)

    assert len(pids) == 2
    assert wait_until_gone(pids) == []


def test_a_worker_that_grew_too_large_is_replaced():
    dataset = make_dataset(4, prepare=preparing.report_pid)

    with Loader(dataset, collate, [[0], [1], [2]], num_workers=1, max_worker_gb=1e-6) as loader:
        pids = [int(batch.input_ids[0, 0]) for batch in loader]

    assert len(set(pids)) == 3


def test_workers_compute_with_one_thread():
    with Loader(make_dataset(2, prepare=preparing.report_pid), collate, [[0]], num_workers=1) as loader:
        assert int(next(loader).labels[0, 0]) == 1


def test_work_ahead_is_bounded_by_prefetch():
    asked = []

    def plan():
        for i in range(50):
            asked.append(i)
            yield [i % 10]

    with Loader(make_dataset(10), collate, plan(), num_workers=1, prefetch_batches=2) as loader:
        for _ in range(3):
            next(loader)

        assert len(asked) <= 3 + 2


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_pinned_when_asked(monkeypatch, num_workers):
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: replace(batch, sample_ids=("pinned",)))

    with Loader(make_dataset(2), collate, [[0]], num_workers=num_workers, pin_memory=True) as loader:
        assert next(loader).sample_ids == ("pinned",)


def test_waiting_time_is_that_of_the_last_batch():
    with Loader(make_dataset(10, slow=[0]), collate, [[0], [1]], num_workers=0) as loader:
        next(loader)
        slow = loader.data_wait
        next(loader)

        assert slow >= 0.2
        assert 0 <= loader.data_wait < slow


@pytest.mark.parametrize("options", [{"num_workers": -1}, {"prefetch_batches": 0}, {"decode_deadline_s": 0}])
def test_impossible_numbers_are_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options)))):
        Loader(make_dataset(2), collate, PLAN, **options)
