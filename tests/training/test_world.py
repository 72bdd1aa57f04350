import os
from unittest import mock

import pytest
import torch.distributed as dist
from helpers import run_distributed

from merv.errors import RunStopped
from merv.training.world import join_world


def talk():
    """Every kind of talk between processes, twice: the second time as after a restart."""
    heard = []
    for restart in range(2):
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(restart)
        with join_world(timeout_s=30) as world:
            world.barrier()
            assert world.store is not None
            world.store.set(f"from-{world.rank}", f"restart {restart}")
            note = world.store.get(f"from-{1 - world.rank}").decode()
            with mock.patch.object(dist, "all_reduce", side_effect=AssertionError("HCCL cannot sum float64")):
                sums = world.sum(world.rank + 1.0, 0.1)
            heard.append((sums, world.gather([float(world.rank), 7.0]), world.share(f"I am {world.rank}"), note))
    return heard, dist.is_initialized()


@pytest.mark.dist
def test_processes_add_gather_and_share():
    expected = [([3.0, 0.2], [[0.0, 7.0], [1.0, 7.0]], "I am 0", f"restart {restart}") for restart in range(2)]

    assert run_distributed(talk) == [(expected, False)] * 2


def fail_on_the_second():
    if os.environ["RANK"] == "1":
        raise KeyError("what went wrong")
    with join_world(timeout_s=30) as world:
        world.barrier()


@pytest.mark.dist
def test_the_error_of_a_process_reaches_the_test():
    with pytest.raises(AssertionError, match=r"rank 1: (.*\n)+.*KeyError: 'what went wrong'"):
        run_distributed(fail_on_the_second)


def fail_together():
    """What each process ends with when one of them has an error."""
    error = RunStopped("no disk") if os.environ["RANK"] == "1" else None
    with join_world(timeout_s=30) as world:
        world.together(None)
        try:
            world.together(error)
        except (RunStopped, SystemExit) as found:
            return str(found)
    return "went on"


@pytest.mark.dist
def test_where_one_process_fails_all_end_and_it_alone_says_why():
    assert run_distributed(fail_together) == ["2", "no disk"]


def test_one_process_alone_is_a_world_and_leaves_nothing(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    with join_world() as world:
        assert (world.rank, world.size, world.store) == (0, 1, None)
        assert world.sum(1.5, 2) == [1.5, 2]
        assert world.gather([3.0]) == [[3.0]]
        assert world.share("text") == "text"
        world.barrier()

    assert not dist.is_initialized()
