from argparse import Namespace

import pytest
import torch

from merv.errors import CheckpointError
from merv.export.hf_folder import HfFolder, HfWeights
from merv.export.megatron import write_megatron
from merv.export.megatron_files import Layout, MegatronWeights, newest


@pytest.fixture
def written(tiny, tmp_path):
    """A checkpoint of two ranks, and the model it is of."""
    hf = HfFolder(tiny("llama"))
    write_megatron(HfWeights(hf), tmp_path / "out", Layout(2, 1))
    return tmp_path / "out", hf


def rank_file(folder, rank):
    return folder / f"iter_0000001/mp_rank_0{rank}/model_optim_rng.pt"


def test_the_newest_iteration_is_the_one_its_file_names(tmp_path):
    for name in ("iter_0000100", "iter_0000020", "release"):
        (tmp_path / name).mkdir()

    for word, name in {"100": "iter_0000100", "20\n": "iter_0000020", "release": "release"}.items():
        (tmp_path / "latest_checkpointed_iteration.txt").write_text(word)
        assert newest(tmp_path) == tmp_path / name


def test_no_checkpoint_and_an_iteration_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is no Megatron checkpoint: it has no latest_checkpointed_iteration"):
        newest(tmp_path)
    for word in ("7", "../elsewhere"):
        (tmp_path / "latest_checkpointed_iteration.txt").write_text(word)
        with pytest.raises(CheckpointError, match=f"names `{word}`, which is not there"):
            newest(tmp_path)


def test_a_rank_that_is_missing_is_named(written):
    folder, hf = written
    rank_file(folder, 1).unlink()

    with pytest.raises(CheckpointError, match=r"mp_rank_01/model_optim_rng\.pt is missing; copy the checkpoint again"):
        MegatronWeights(folder, hf)

    rank_file(folder, 0).unlink()
    with pytest.raises(CheckpointError, match=r"iter_0000001 lacks mp_rank_00/model_optim_rng\.pt"):
        MegatronWeights(folder, hf)


def test_nothing_but_tensors_and_plain_values_is_unpickled(written, tmp_path):
    folder, hf = written
    torch.save({"model": {}, "args": Namespace(), "optimizer": Harmful(tmp_path / "harm")}, rank_file(folder, 0))

    with pytest.raises(CheckpointError, match=r"cannot be read as tensors and plain values: .*--no-save-optim"):
        MegatronWeights(folder, hf)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("allowed", [[], [Namespace]])
def test_what_others_allow_to_be_unpickled_is_as_before(written, allowed):
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    try:
        MegatronWeights(*written)
        assert torch.serialization.get_safe_globals() == allowed
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_a_damaged_file_and_virtual_stages_are_refused(written):
    folder, hf = written
    rank_file(folder, 0).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read as tensors and plain values"):
        MegatronWeights(folder, hf)

    torch.save({"model0": {}, "args": Namespace()}, rank_file(folder, 0))
    with pytest.raises(CheckpointError, match="has no entry `model` and `args`; pipelines with virtual stages"):
        MegatronWeights(folder, hf)


def test_a_checkpoint_saved_with_few_arguments_counts_as_one_rank(tiny, tmp_path):
    hf = HfFolder(tiny("llama"))
    write_megatron(HfWeights(hf), tmp_path / "out", Layout())
    found = torch.load(rank_file(tmp_path / "out", 0), weights_only=False)
    torch.save({**found, "args": Namespace()}, rank_file(tmp_path / "out", 0))

    assert MegatronWeights(tmp_path / "out", hf).layout == Layout(1, 1, 128)
