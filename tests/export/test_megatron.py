import json
import warnings

import pytest
import torch
from safetensors.torch import load_file

from merv import space
from merv.errors import CheckpointError, ConfigError
from merv.export.hf_folder import HfFolder, HfWeights
from merv.export.mapping import HEAD
from merv.export.megatron import write_hf, write_megatron
from merv.export.megatron_files import ASIDE, Layout, MegatronWeights

from .ranks import as_rank, gpt_of_rank
from .tiny import TYPES, save_tiny

LAYOUTS = [Layout(1, 1), Layout(2, 1), Layout(1, 2), Layout(2, 2), Layout(4, 1)]
IDS = [f"{layout.tp}x{layout.pp}" for layout in LAYOUTS]


def write(folder, out, layout=LAYOUTS[0], **options):
    hf = HfFolder(folder)
    write_megatron(HfWeights(hf), out, layout, **options)
    return hf


def load(out, layout, stage, rank):
    return torch.load(out / "iter_0000001" / layout.file(stage, rank), weights_only=False)


def all_weights(folder):
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("layout", LAYOUTS, ids=IDS)
@pytest.mark.parametrize(("model_type", "tied"), [("qwen2", False), ("llama", True), ("qwen2_vl", True)])
def test_every_rank_of_megatron_loads_its_file_strictly(model_type, tied, layout, tiny, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")
    hf = write(tiny(model_type, tied=tied), tmp_path / "out", layout)

    for stage, rank in layout.ranks():
        with as_rank(layout, stage, rank):
            model = gpt_of_rank(hf, layout, stage)
            found = load(tmp_path / "out", layout, stage, rank)
            model.load_state_dict(found["model"], strict=True)
        assert ("vision_model" in found) is (model_type == "qwen2_vl" and stage == 0)


@pytest.mark.parametrize(("tp", "pp", "name"), [(2, 1, "mp_rank_01"), (2, 2, "mp_rank_01_001"), (1, 1, "mp_rank_00")])
def test_files_are_named_as_megatron_looks_for_them(tp, pp, name, tiny, tmp_path):
    write(tiny("llama"), tmp_path / "out", Layout(tp, pp))

    assert (tmp_path / "out" / "latest_checkpointed_iteration.txt").read_text() == "1"
    assert (tmp_path / "out" / "iter_0000001" / name / "model_optim_rng.pt").is_file()
    assert len(list((tmp_path / "out" / "iter_0000001").iterdir())) == tp * pp


def test_arguments_say_what_megatron_takes_over(tiny, tmp_path):
    write(tiny("qwen2_5_vl"), tmp_path / "out", Layout(2, 2), dtype=torch.bfloat16)

    found = load(tmp_path / "out", Layout(2, 2), 1, 0)
    args = found["args"]

    assert (found["checkpoint_version"], found["iteration"]) == (3.0, 1)
    assert (args.tensor_model_parallel_size, args.pipeline_model_parallel_size, args.padded_vocab_size) == (2, 2, 256)
    assert (args.position_embedding_type, args.mrope_section, args.add_qkv_bias) == ("mrope", [1, 1, 2], True)
    assert (args.params_dtype, args.bf16, args.fp16) == (torch.bfloat16, True, False)
    assert {tensor.dtype for tensor in found["model"].values() if tensor is not None} == {torch.bfloat16}


@pytest.mark.parametrize("layout", LAYOUTS, ids=IDS)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", TYPES)
def test_the_way_there_and_back_gives_the_same_bits(model_type, tied, layout, tiny, tmp_path):
    write(tiny(model_type, tied=tied), tmp_path / "out", layout)

    weights = MegatronWeights(tmp_path / "out", HfFolder(tmp_path / "out" / ASIDE))
    write_hf(weights, tmp_path / "back")

    assert_same(all_weights(tiny(model_type, tied=tied)), all_weights(tmp_path / "back"))
    for path in tiny(model_type, tied=tied).iterdir():
        if path.suffix == ".json":
            assert (tmp_path / "back" / path.name).read_text() == path.read_text()


def test_a_folder_of_shards_comes_back_as_the_same_shards(tmp_path):
    folder = save_tiny("qwen2", tmp_path / "hf", max_shard_size="100KB")
    write(folder, tmp_path / "out", Layout(2, 2))

    write_hf(MegatronWeights(tmp_path / "out", HfFolder(tmp_path / "out" / ASIDE)), tmp_path / "back")

    assert len(list(folder.glob("*.safetensors"))) > 2
    for path in folder.glob("*.safetensors"):
        assert_same(load_file(path), load_file(tmp_path / "back" / path.name))
    one, other = (json.loads((at / "model.safetensors.index.json").read_text()) for at in (folder, tmp_path / "back"))
    assert one["weight_map"] == other["weight_map"]
    assert one["metadata"]["total_size"] == other["metadata"]["total_size"]


@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_laid_out_anew_is_as_if_written_so(tied, tiny, tmp_path):
    hf = write(tiny("qwen2_vl", tied=tied), tmp_path / "four", Layout(2, 2))
    for layout in (Layout(1, 1), Layout(4, 1)):
        direct, again = (tmp_path / f"{how}{layout.tp}" for how in ("direct", "again"))
        write(tiny("qwen2_vl", tied=tied), direct, layout)

        write_megatron(MegatronWeights(tmp_path / "four", hf), again, layout)

        for place in layout.ranks():
            one, other = load(direct, layout, *place), load(again, layout, *place)
            assert one["args"] == other["args"]
            assert_same(one["vision_model"], other["vision_model"])
            tensors = [{k: v for k, v in state["model"].items() if v is not None} for state in (one, other)]
            assert_same(*tensors)
            assert one["model"].keys() == other["model"].keys()


def test_the_last_stage_has_its_own_copy_of_a_tied_head(tiny, tmp_path):
    write(tiny("qwen2", tied=True), tmp_path / "out", Layout(1, 2))
    first, last = (load(tmp_path / "out", Layout(1, 2), stage, 0)["model"] for stage in (0, 1))

    assert torch.equal(last[HEAD], first["embedding.word_embeddings.weight"])


def test_a_whole_shard_is_no_view_of_more(tiny, tmp_path):
    write(tiny("llama"), tmp_path / "one")
    write(tiny("llama"), tmp_path / "four", Layout(4, 1, divisible_by=1))

    one, part = ((tmp_path / name / "iter_0000001/mp_rank_00/model_optim_rng.pt") for name in ("one", "four"))
    assert part.stat().st_size < one.stat().st_size / 3


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tiny, tmp_path, monkeypatch):
    needed = []
    monkeypatch.setattr("merv.export.megatron.check_space", lambda out, num_bytes: needed.append(num_bytes))
    hf = write(tiny("qwen2_vl", tied=True), tmp_path / "out", Layout(2, 2))
    write_hf(MegatronWeights(tmp_path / "out", hf), tmp_path / "back")
    files = [*(tmp_path / "out").rglob("*.pt")]
    tensors = [tensor for file in files for key in ("model", "vision_model") for tensor in loaded(file, key)]
    monkeypatch.undo()
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))

    assert needed[0] == sum(tensor.nbytes for tensor in tensors)
    assert needed[1] == sum(tensor.nbytes for tensor in all_weights(tmp_path / "back").values())
    with pytest.raises(ConfigError, match=r"needs 0\.00 GB and .* free"):
        write(tiny("qwen2"), tmp_path / "full")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("full")]


def loaded(file, key):
    return [tensor for tensor in torch.load(file, weights_only=False).get(key, {}).values() if tensor is not None]


def test_a_layout_that_does_not_divide_leaves_nothing(tiny, tmp_path):
    with pytest.raises(ConfigError, match="--tp 3 does not divide the 8 attention heads; choose one of 1, 2, 4"):
        write(tiny("qwen2"), tmp_path / "out", Layout(3, 1))

    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_refused_for_another_model(tiny, tmp_path):
    write(tiny("llama"), tmp_path / "out")

    with pytest.raises(
        CheckpointError, match=r"lacks `decoder\.layers\.0\.self_attention\.linear_qkv\.bias` on stage 0"
    ):
        write_hf(MegatronWeights(tmp_path / "out", HfFolder(tiny("qwen2"))), tmp_path / "back")
    narrow = HfFolder(save_tiny("llama", tmp_path / "narrow", vocab_size=151, intermediate_size=64))
    with pytest.raises(
        CheckpointError, match=r"another model: `decoder\.layers\.0\.mlp\.linear_fc2\.weight` is \(64, 96\)"
    ):
        write_hf(MegatronWeights(tmp_path / "out", narrow), tmp_path / "back")
    write(tiny("qwen2", tied=False), tmp_path / "plain")
    with pytest.raises(
        CheckpointError, match=r"lacks `visual\.blocks\.0\.attn\.proj\.bias`, of 31 tensors of the vision tower"
    ):
        write_hf(MegatronWeights(tmp_path / "plain", HfFolder(tiny("qwen2_vl"))), tmp_path / "back")
    assert not (tmp_path / "back").exists()
