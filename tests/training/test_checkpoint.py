import errno
import json
import os
import pickle
from collections.abc import Iterator

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

from merv.errors import CheckpointError, RunStopped
from merv.training.checkpoint import Checkpointer, complete_checkpoints, latest_checkpoint, read_trainer_state
from merv.training.world import World, join_world


class Net(nn.Module):
    """One layer that learns and one that does not."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.learning = nn.Linear(width, 3)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


@pytest.fixture
def world() -> Iterator[World]:
    with join_world() as joined:
        yield joined


def trained(seed=0, width=4):
    """A net and an optimiser with a state."""
    torch.manual_seed(seed)
    net = Net(width)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad])
    net.learning(torch.randn(5, width)).square().sum().backward()
    optimizer.step()
    return net, optimizer


def make(folder, world, **options):
    return Checkpointer(folder, world, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("asynchronous", [True, False])
def test_model_optimiser_random_numbers_and_state_come_back(tmp_path, world, asynchronous):
    checkpointer = make(tmp_path, world, asynchronous=asynchronous)
    net, optimizer = trained()
    checkpointer.save(5, net, optimizer, {"sampler": {"epoch": 3}})
    drawn = torch.rand(3)
    checkpointer.finish()
    saved = {name: tensor.clone() for name, tensor in net.state_dict().items()}

    other, other_optimizer = trained(seed=1)
    frozen = other.frozen.weight.clone()
    state = checkpointer.load(tmp_path / "step-000005", other, other_optimizer)

    assert (state["step"], state["sampler"]) == (5, {"epoch": 3})
    assert torch.equal(torch.rand(3), drawn)
    for name in ("learning.weight", "learning.bias"):
        assert torch.equal(other.state_dict()[name], saved[name])
    assert torch.equal(other.frozen.weight, frozen), "frozen weights are not part of it"
    ours, theirs = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0)


def test_what_training_changes_after_an_asynchronous_save_is_not_in_it(tmp_path, world):
    checkpointer = make(tmp_path, world)
    net, optimizer = trained()
    saved = net.learning.weight.clone()
    checkpointer.save(1, net, optimizer, {})
    with torch.no_grad():
        net.learning.weight.zero_()
    checkpointer.finish()

    checkpointer.load(tmp_path / "step-000001", net, optimizer)

    assert torch.equal(net.learning.weight, saved)


def test_the_last_ones_are_kept_and_latest_names_the_newest(tmp_path, world):
    checkpointer = make(tmp_path, world, keep_last=2)
    for step in (1, 2, 10):
        checkpointer.save(step, *trained(), {})
        assert all((path / ".metadata").exists() for path in [checkpointer.latest()] if path)
    checkpointer.finish()

    assert names(tmp_path) == ["latest", "step-000002", "step-000010"]
    assert checkpointer.latest() == tmp_path / "step-000010"


def test_a_step_can_be_saved_again(tmp_path, world):
    checkpointer = make(tmp_path, world, asynchronous=False)
    for text in ("first", "second"):
        checkpointer.save(1, *trained(), {"note": text})

    assert read_trainer_state(tmp_path / "step-000001")["note"] == "second"


def test_leftovers_of_an_interrupted_save_are_removed(tmp_path, world):
    make(tmp_path, world, asynchronous=False).save(1, *trained(), {})
    leftover = tmp_path / "step-000002.partial"
    leftover.mkdir()
    (leftover / ".metadata").write_text("half")

    assert latest_checkpoint(tmp_path) == tmp_path / "step-000001"
    make(tmp_path, world)

    assert names(tmp_path) == ["latest", "step-000001"]


def test_without_or_with_a_wrong_pointer_the_newest_whole_one_counts(tmp_path, world):
    assert latest_checkpoint(tmp_path) is None
    checkpointer = make(tmp_path, world, asynchronous=False)
    checkpointer.save(1, *trained(), {})
    (tmp_path / "step-000007").mkdir()  # without an index

    for prepare in ((tmp_path / "latest").unlink, lambda: (tmp_path / "latest").write_text("step-000007")):
        prepare()
        assert latest_checkpoint(tmp_path) == tmp_path / "step-000001"
    assert complete_checkpoints(tmp_path) == [tmp_path / "step-000001"]


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_full_disk_is_one_line_and_the_checkpoint_before_stays(tmp_path, world, monkeypatch, asynchronous):
    checkpointer = make(tmp_path, world, asynchronous=asynchronous)
    net, optimizer = trained()
    checkpointer.save(1, net, optimizer, {})
    checkpointer.finish()
    monkeypatch.setattr(dcp.FileSystemWriter, "write_data", refuse)

    def save_and_wait():
        checkpointer.save(2, net, optimizer, {})
        checkpointer.finish()

    with pytest.raises(RunStopped, match=r"step 2 cannot be written: .*No space left.*step-000001 is whole") as caught:
        save_and_wait()

    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["latest", "step-000001"]
    assert checkpointer.load(tmp_path / "step-000001", net, optimizer)["step"] == 1


def test_a_checkpoint_of_another_model_names_the_difference(tmp_path, world):
    checkpointer = make(tmp_path, world, asynchronous=False)
    checkpointer.save(1, *trained(), {})
    wider = trained(width=6)
    more, optimizer = trained()
    more.learning.extra = nn.Parameter(torch.zeros(2))
    less = Net()
    less.learning.bias.requires_grad_(False)

    with pytest.raises(CheckpointError, match=r"`learning.weight.*` is \(3, 4\) there, \(3, 6\) here"):
        checkpointer.load(tmp_path / "step-000001", *wider)
    with pytest.raises(CheckpointError, match=r"1 tensors missing, 0 unknown; it lacks `learning.extra`"):
        checkpointer.load(tmp_path / "step-000001", more, optimizer)
    with pytest.raises(CheckpointError, match=r"unknown; it also has `learning.bias"):
        checkpointer.load(tmp_path / "step-000001", less, torch.optim.AdamW([less.learning.weight]))


class Poison:
    """A pickle that writes a file when it is opened."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_poisoned_index_is_refused_without_running_it(tmp_path, world):
    checkpointer = make(tmp_path, world, asynchronous=False)
    net, optimizer = trained()
    checkpointer.save(1, net, optimizer, {})
    index = tmp_path / "step-000001" / ".metadata"
    index.write_bytes(pickle.dumps(Poison(str(tmp_path / "harm"))))

    with pytest.raises(CheckpointError, match=r"names posix\.mkdir, which no checkpoint of merv has"):
        checkpointer.load(tmp_path / "step-000001", net, optimizer)

    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (".metadata", b"", "cannot be read"),
        (".metadata", pickle.dumps({"a": 1}), "no checkpoint index"),
        ("__0_0.distcp", b"", "cannot be read"),
        ("trainer_state.json", b"{", "no complete checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(tmp_path, world, file, content, message):
    checkpointer = make(tmp_path, world, asynchronous=False)
    net, optimizer = trained()
    checkpointer.save(1, net, optimizer, {})
    (tmp_path / "step-000001" / file).write_bytes(content)

    with pytest.raises(CheckpointError, match=message) as caught:
        checkpointer.load(tmp_path / "step-000001", net, optimizer)

    assert "\n" not in str(caught.value)


def test_a_process_that_was_not_there_keeps_its_random_numbers(tmp_path, world):
    checkpointer = make(tmp_path, world, asynchronous=False)
    net, optimizer = trained()
    checkpointer.save(1, net, optimizer, {})
    (tmp_path / "step-000001" / "rng-00000.json").unlink()
    torch.manual_seed(3)

    checkpointer.load(tmp_path / "step-000001", net, optimizer)

    assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(3)))


def test_a_checkpoint_holds_tensors_and_plain_json(tmp_path, world):
    make(tmp_path, world, asynchronous=False).save(1, *trained(), {"ledger": {"num_bad": 1}})

    state = json.loads((tmp_path / "step-000001" / "trainer_state.json").read_text())
    assert state == {"step": 1, "ledger": {"num_bad": 1}}
    assert names(tmp_path / "step-000001") == [".metadata", "__0_0.distcp", "rng-00000.json", "trainer_state.json"]
