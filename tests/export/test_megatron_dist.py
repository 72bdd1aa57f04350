import pytest
import torch
from safetensors.torch import load_file

from merv import space
from merv.errors import CheckpointError, ConfigError
from merv.export.gpt import alone, build_gpt
from merv.export.hf_folder import HfFolder, HfWeights
from merv.export.megatron_dist import write_dist
from merv.export.megatron_files import Layout, MegatronWeights, rank_state

pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("model_type", "tied"), [("qwen2", False), ("llama", True)])
def test_megatron_core_loads_what_was_written(model_type, tied, dtype, tiny, tmp_path):
    from megatron.core import dist_checkpointing

    source = HfWeights(HfFolder(tiny(model_type, tied=tied)))
    write_dist(source, tmp_path / "out", Layout(2, 2), dtype=dtype)

    with alone(torch.device("cpu")):
        expected = rank_state(source, 0, 0, Layout(divisible_by=256), dtype)
        empty = {name: None if tensor is None else torch.zeros_like(tensor) for name, tensor in expected.items()}
        state = {"model": build_gpt(source.hf, empty, dtype).sharded_state_dict()}
        found = dist_checkpointing.load(state, str(tmp_path / "out" / "iter_0000001"))

    assert found["args"].tensor_model_parallel_size == 2
    assert (found["checkpoint_version"], found["iteration"]) == (3.0, 1)
    for name, tensor in expected.items():
        if tensor is not None:
            assert found["model"][name].dtype is dtype
            assert torch.equal(found["model"][name], tensor), name


def test_the_vision_tower_stands_beside_it(tiny, tmp_path):
    source = HfWeights(HfFolder(tiny("qwen2_vl")))
    write_dist(source, tmp_path / "out", Layout())

    tower = load_file(tmp_path / "out" / "vision_model.safetensors")
    assert tower.keys() == source.vision().keys()
    assert all(torch.equal(tower[name], tensor) for name, tensor in source.vision().items())
    assert (tmp_path / "out" / "latest_checkpointed_iteration.txt").read_text() == "1"


def test_reading_it_back_names_the_format_that_can_be_read(tiny, tmp_path):
    hf = HfFolder(tiny("llama"))
    write_dist(HfWeights(hf), tmp_path / "out", Layout())

    with pytest.raises(
        CheckpointError, match="format torch_dist, which is not read; save it with --ckpt-format torch"
    ):
        MegatronWeights(tmp_path / "out", hf)


def test_a_layout_that_does_not_divide_and_a_full_disk_leave_nothing(tiny, tmp_path, monkeypatch):
    source = HfWeights(HfFolder(tiny("llama")))
    with pytest.raises(ConfigError, match="--pp 3 does not divide the 4 layers"):
        write_dist(source, tmp_path / "out", Layout(1, 3))
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(ConfigError, match=r"needs 0\.00 GB and .* free"):
        write_dist(source, tmp_path / "out", Layout())

    assert not list(tmp_path.iterdir())
