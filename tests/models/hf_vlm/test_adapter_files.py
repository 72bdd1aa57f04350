"""Adapters as plain peft knows them; peft itself is the judge."""

import json
import logging
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_vlms import tiny_vlm

from merv.errors import CheckpointError
from merv.models.hf_vlm.adapter_files import (
    BASE,
    Base,
    adapter_config_of,
    alone,
    check_base,
    lay_adapter,
    read_adapter,
    save_adapter,
)
from merv.models.peft_files import ADAPTER, ADAPTER_CONFIG

from .adapted import EXPERTS, WORN, adapted, expert_paths, load, logits, saved_adapter


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    return {name: tiny_vlm(name, root / name) for name in WORN}


@pytest.fixture(scope="module")
def saved(bases, tmp_path_factory):
    """A Qwen2-VL's adapter; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("saved") / "adapter"
    return saved_adapter(adapted(bases["qwen2-vl"]), folder, Base.of("org/tiny", bases["qwen2-vl"]))


@pytest.fixture
def mine(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "adapter")


@pytest.mark.parametrize("name", WORN)
@pytest.mark.filterwarnings("ignore")
def test_plain_peft_opens_what_we_wrote(name, bases, tmp_path):
    model = adapted(bases[name], **WORN[name])
    folder = saved_adapter(model, tmp_path / "adapter", Base.of(name, bases[name]))

    opened = PeftModel.from_pretrained(load(bases[name]), folder)

    assert not torch.allclose(logits(model), logits(load(bases[name])), atol=1e-2)
    torch.testing.assert_close(logits(opened), logits(model))


@pytest.mark.parametrize("name", WORN)
def test_an_adapter_comes_back(name, bases, tmp_path):
    model = adapted(bases[name], **WORN[name])
    folder = saved_adapter(model, tmp_path / "adapter", Base.of(name, bases[name]))

    again = load(bases[name])
    lay_adapter(again, read_adapter(folder), base=bases[name])

    torch.testing.assert_close(logits(again), logits(model))
    learning = {alone(name) for name, parameter in again.named_parameters() if parameter.requires_grad}
    assert learning == set(read_adapter(folder).tensors)


@pytest.mark.filterwarnings("ignore")
def test_what_peft_wrote_can_be_read(bases, tmp_path):
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(load(bases["qwen2-vl"]), LoraConfig(r=2, target_modules="all-linear", use_rslora=True))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            parameter += 0.1 * ("lora_B" in name)
    wrapped.save_pretrained(tmp_path / "adapter")

    again, adapter = load(bases["qwen2-vl"]), read_adapter(tmp_path / "adapter")
    lay_adapter(again, adapter, base=bases["qwen2-vl"])

    assert adapter.fingerprint is None
    torch.testing.assert_close(logits(again), logits(wrapped))


def test_names_of_older_transformers_are_understood(saved, bases, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "old")
    tensors = load_file(folder / ADAPTER)
    old = {key.replace(".model.language_model.", ".model."): tensor for key, tensor in tensors.items()}
    assert old.keys() != tensors.keys()
    save_file(old, folder / ADAPTER)
    said = json.loads((folder / ADAPTER_CONFIG).read_text())
    said["target_modules"] = ["q_proj", "v_proj", "down_proj"]
    (folder / ADAPTER_CONFIG).write_text(json.dumps(said))

    models = [load(bases["qwen2-vl"]) for _ in range(2)]
    for model, place in zip(models, (saved, folder), strict=True):
        lay_adapter(model, read_adapter(place))

    torch.testing.assert_close(logits(models[0]), logits(models[1]))


def test_the_config_is_read_off_the_layers(bases):
    model = adapted(bases["aria"], **WORN["aria"], rank=2)

    config = adapter_config_of(model)

    assert (config.r, config.lora_alpha, config.lora_dropout) == (2, 8.0, 0.0)
    assert sorted(config.target_parameters) == sorted(EXPERTS)
    assert set(EXPERTS) < set(expert_paths(load(bases["aria"])))
    assert "lm_head" in config.target_modules
    assert all("base_layer" not in place for place in config.target_modules)


def test_alone_takes_an_adapters_name_out():
    assert alone("m.q_proj.lora_A.default.weight") == "m.q_proj.lora_A.weight"
    assert alone("m.experts.base_layer.lora_B.mine.weight") == "m.experts.base_layer.lora_B.weight"
    assert alone("embed.lora_embedding_A.default") == "embed.lora_embedding_A"
    assert alone("lm_head.modules_to_save.default.weight") == "lm_head.weight"
    assert alone("m.q_proj.lora_A.weight") == "m.q_proj.lora_A.weight"


def test_only_adapters_are_written_and_the_base_is_named(saved, bases):
    adapter = read_adapter(saved)

    assert adapter.base == "org/tiny"
    assert adapter.fingerprint == Base.of("", bases["qwen2-vl"]).fingerprint
    assert all(".lora_" in name for name in adapter.tensors)
    assert json.loads((saved / ADAPTER_CONFIG).read_text())["base_model_name_or_path"] == "org/tiny"


def test_another_base_is_refused(saved, tmp_path):
    other = tiny_vlm("qwen2-vl", tmp_path / "other", seed=8)

    with pytest.raises(
        CheckpointError, match=r"was trained on org/tiny \(fingerprint \w{16}\), not on .*name --base org"
    ):
        check_base(read_adapter(saved), other)


def test_a_foreign_adapter_of_another_name_is_warned_about(mine, bases, caplog):
    (mine / BASE).unlink()

    with caplog.at_level(logging.WARNING):
        check_base(read_adapter(mine), bases["qwen2-vl"], "org/other")
        assert "says it was trained on org/tiny; going on with org/other" in caplog.text
        caplog.clear()
        check_base(read_adapter(mine), bases["qwen2-vl"], "elsewhere/tiny")
        assert not caplog.text


def test_shapes_of_another_base_are_refused(bases, tmp_path):
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(bases["qwen2-vl"])
    config.text_config.intermediate_size = 48
    other = AutoModelForImageTextToText.from_config(config)
    model = adapted(bases["qwen2-vl"])
    folder = saved_adapter(model, tmp_path / "adapter", Base("org/tiny", "0"))

    with pytest.raises(CheckpointError, match=r"down_proj\.lora_A\.weight` is \(4, 64\) there, \(4, 48\) here; name"):
        lay_adapter(other, read_adapter(folder))


def test_layers_the_base_does_not_have_are_refused(mine, bases):
    tensors = load_file(mine / ADAPTER)
    tensors |= {
        key.replace("layers.1", "layers.9"): tensor.clone() for key, tensor in tensors.items() if "layers.1" in key
    }
    save_file(tensors, mine / ADAPTER)

    with pytest.raises(CheckpointError, match=r"the base has no `model\.language_model\.layers\.9\."):
        lay_adapter(load(bases["qwen2-vl"]), read_adapter(mine))


def test_lacking_tensors_are_named(mine, bases):
    tensors = load_file(mine / ADAPTER)
    tensors.pop(next(key for key in tensors if "layers.1" in key))
    save_file(tensors, mine / ADAPTER)

    with pytest.raises(CheckpointError, match=r"layers\.1\..* is missing there, \(4, 64\) here"):
        lay_adapter(load(bases["qwen2-vl"]), read_adapter(mine))


def test_a_module_kept_whole_that_is_lacking_is_named(bases, tmp_path):
    model = adapted(bases["qwen2-vl"], saved=("lm_head",))
    folder = saved_adapter(model, tmp_path / "adapter", Base("org/tiny", "0"))
    tensors = {key: tensor for key, tensor in load_file(folder / ADAPTER).items() if "lm_head" not in key}
    save_file(tensors, folder / ADAPTER)

    with pytest.raises(CheckpointError, match=r"is of another model: it lacks .*lm_head.weight"):
        lay_adapter(load(bases["qwen2-vl"]), read_adapter(folder))


def test_a_model_without_the_targets_is_refused(mine, bases):
    with pytest.raises(CheckpointError, match=r"is of another model: .*name the base it is for"):
        lay_adapter(torch.nn.Sequential(torch.nn.Linear(2, 2)), read_adapter(mine))


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no adapter: it has no adapter_config"):
        read_adapter(tmp_path)
    with pytest.raises(CheckpointError, match="holds no adapter: there is no such folder"):
        read_adapter(tmp_path / "none")


def test_a_pickle_is_refused(mine):
    (mine / ADAPTER).rename(mine / "adapter_model.bin")

    with pytest.raises(CheckpointError, match=r"adapter_model\.bin is refused: it is a pickle"):
        read_adapter(mine)


def test_a_damaged_file_is_named(mine):
    (mine / ADAPTER).write_bytes(b"nothing")

    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors cannot be read"):
        read_adapter(mine)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "adapter_config.json cannot be read"),
        ('{"peft_type": "IA3", "r": null}', "is of a IA3 of rank None; expected a LORA"),
        ('{"peft_type": "LORA", "r": 4, "target_modules": ["q"], "layers_to_transform": 3, "layers_pattern": 3,'
         ' "target_parameters": 7, "rank_pattern": 3, "use_dora": true, "megatron_config": 4, "loftq_config": 3,'
         ' "init_lora_weights": "loftq"}', "adapter_config.json cannot be used"),
    ],
)  # fmt: skip
def test_a_config_of_something_else_is_refused(text, line, mine):
    (mine / ADAPTER_CONFIG).write_text(text)

    with pytest.raises(CheckpointError, match=line):
        read_adapter(mine)


def test_tensors_of_something_else_are_refused(mine):
    save_file({"x": torch.zeros(1)}, mine / ADAPTER)

    with pytest.raises(CheckpointError, match="none of its tensors is called lora_A"):
        read_adapter(mine)


def test_files_of_an_adapter_replace_older_ones(mine, bases):
    model = adapted(bases["qwen2-vl"], rank=2)

    save_adapter(mine, model.state_dict(), adapter_config_of(model), Base("org/tiny", "1"))

    assert read_adapter(mine).config.r == 2
    assert sorted(path.name for path in mine.iterdir()) == sorted([ADAPTER, ADAPTER_CONFIG, BASE])
