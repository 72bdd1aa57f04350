import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from merv.errors import CheckpointError, ConfigError
from merv.export.hf_folder import HfFolder, HfWeights
from merv.export.hf_writing import cast

from .tiny import save_tiny


@pytest.fixture
def folder(tiny, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(tiny("qwen2"), tmp_path / "copy")


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def weights(folder):
    return HfWeights(HfFolder(folder))


@pytest.mark.parametrize("model_type", ["qwen2_vl", "qwen2_5_vl"])
def test_old_and_new_names_of_a_vision_language_model_are_read(model_type, tiny, tmp_path):
    new = shutil.copytree(tiny(model_type), tmp_path / "new")
    rewrite(new, lambda tensors: tensors.update({rename(name): tensors.pop(name) for name in list(tensors)}))

    one, other = weights(tiny(model_type)), weights(new)

    assert (one.hf.prefix, other.hf.prefix) == ("model.", "model.language_model.")
    for mine, theirs in zip(one.hf.entries, other.hf.entries, strict=True):
        assert torch.equal(one.tensor(mine), other.tensor(theirs))
    assert one.vision().keys() == other.vision().keys()
    assert "patch_embed.proj.weight" in one.vision()


def rename(name):
    if name.startswith("visual."):
        return f"model.{name}"
    return name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else name


def test_no_folder_an_adapter_and_one_without_safetensors_are_refused(tmp_path):
    adapter, bare = tmp_path / "adapter", tmp_path / "bare"
    for one in (adapter, bare):
        one.mkdir()
    (adapter / "adapter_config.json").write_text("{}")

    with pytest.raises(ConfigError, match=r"--model .*Qwen/Qwen2 is no folder; `hf download` a model and name"):
        HfFolder(tmp_path / "Qwen" / "Qwen2")
    with pytest.raises(ConfigError, match="holds an adapter; merge it into its base first: merv export merge"):
        HfFolder(adapter)
    with pytest.raises(ConfigError, match=r"lacks config\.json; name a model's folder"):
        HfFolder(bare)


def test_a_folder_without_safetensors_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(ConfigError, match=r"holds neither model\.safetensors nor .*; save the model as safetensors"):
        HfFolder(folder)


def test_damaged_weights_are_refused(folder):
    (folder / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: .*; copy it again"):
        HfFolder(folder)


def test_a_missing_shard_is_named(tmp_path):
    folder = save_tiny("qwen2", tmp_path, max_shard_size="100KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()

    with pytest.raises(CheckpointError, match=rf"{shard.name} cannot be read: "):
        weights(folder)


def test_a_tensor_that_is_missing_or_unknown_or_too_small_is_named(folder):
    rewrite(folder, lambda tensors: tensors.pop("model.layers.2.self_attn.k_proj.bias"))
    with pytest.raises(CheckpointError, match=r"lacks `model\.layers\.2\.self_attn\.k_proj\.bias`, of 1 tensors"):
        weights(folder)

    rewrite(folder, lambda tensors: tensors.update({"model.layers.2.self_attn.k_proj.bias": torch.zeros(7)}))
    found = weights(folder)
    entry = next(one for one in found.hf.entries if one.name == "decoder.layers.2.self_attention.linear_qkv.bias")
    with pytest.raises(CheckpointError, match=r"k_proj\.bias \+ .* is \(103,\), by config\.json \(128,\)"):
        found.tensor(entry)

    rewrite(folder, lambda tensors: tensors.update({"model.layers.0.self_attn.o_proj.bias": torch.zeros(64)}))
    with pytest.raises(
        ConfigError, match=r"`model\.layers\.0\.self_attn\.o_proj\.bias` of .* has no place in the table"
    ):
        weights(folder)


def test_buffers_of_old_folders_and_copies_of_a_tied_head_are_left_behind(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama", tied=True), tmp_path / "copy")
    idle = {"lm_head.weight": torch.zeros(151, 64), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(4)}
    rewrite(folder, lambda tensors: tensors.update(idle))

    assert not set(idle) & set(weights(folder).hf.wanted())


def test_what_is_laid_aside_names_all_tensors_and_copies_no_weights(tiny, tmp_path):
    HfFolder(tiny("qwen2_vl")).lay_aside(tmp_path / "aside")

    aside = HfFolder(tmp_path / "aside")
    assert aside.wanted() == HfFolder(tiny("qwen2_vl")).wanted()
    assert not list((tmp_path / "aside").glob("*.safetensors"))
    assert json.loads((tmp_path / "aside" / "tokenizer_config.json").read_text()) == {"name": "tiny"}


def test_values_too_large_for_float16_are_refused():
    with pytest.raises(ConfigError, match=r"`w` holds 1e\+05, more than float16 can; choose --dtype bfloat16"):
        cast(torch.tensor([1e5]), torch.float16, "w")

    assert cast(torch.tensor([1e5]), torch.bfloat16, "w").dtype is torch.bfloat16
    assert cast(torch.tensor([1]), torch.float16, "w").dtype is torch.int64
