import re

import pytest
import torch

from merv.conf.parse import parse
from merv.errors import ConfigError
from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.hf_vlm.tiny import DRAWN, drawn
from merv.runs.pretrain_config import PretrainConfig

from .rows import vlm_config


def preset(name):
    return parse(PretrainConfig, ["--model.type", name]).model


def test_aria_with_adapters_has_the_published_numbers():
    config = preset("aria-nextqa-lora")

    stage = config.finetune
    assert (config.path, config.max_image_size, config.max_length) == ("rhymes-ai/Aria", 490, 4096)
    assert (config.freeze_vision, config.freeze_projector, config.freeze_llm) == (True, True, None)
    assert (config.expert_balance_weight, config.expert_z_weight) == (1e-4, 1e-5)
    assert (stage.learning_rate, stage.weight_decay, stage.adam_beta2, stage.warmup_ratio) == (5e-5, 0.1, 0.95, 0.01)
    assert (stage.epochs, stage.per_device_batch_size, stage.global_batch_size) == (1, 4, 16)
    assert (stage.lora.rank, stage.lora.alpha, stage.lora.dropout) == (8, 32.0, 0.05)
    assert {"fc1", "fc2", "q_proj", "linear", "up_proj", "lm_head", "gate_up_proj"} <= set(stage.lora.target_modules)


def test_aria_as_a_whole_freezes_its_tower_alone_and_offloads():
    config = preset("aria-nextqa-full")

    assert (config.freeze_vision, config.freeze_projector) == (True, False)
    assert (config.finetune.learning_rate, config.finetune.lora.rank) == (5e-6, 0)
    assert config.finetune.train_strategy == "fsdp-full-shard-offload"
    assert config.finetune.global_batch_size == 8 * 4 * 4


def test_vase_has_the_published_numbers():
    config, whole = preset("vase-qwen2.5-vl-7b-lora"), preset("vase-qwen2.5-vl-7b-full")

    stage = config.finetune
    assert (config.path, config.max_pixels, config.max_length) == ("Qwen/Qwen2.5-VL-7B-Instruct", 1003520, 4096)
    assert (stage.epochs, stage.learning_rate, stage.warmup_ratio, stage.global_batch_size) == (2, 1e-4, 0.05, 16)
    assert (stage.lora.rank, stage.lora.alpha, stage.lora.target_modules) == (8, 32.0, [])
    assert (whole.finetune.learning_rate, whole.finetune.warmup_ratio, whole.finetune.epochs) == (1e-6, 0.01, 1)
    assert whole.finetune.lora.rank == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 10}, "max_length is 10 tokens"),
        ({"expert_z_weight": -1.0}, "must not be negative"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"fps": 0.0}, "fps is 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        HfVlmConfig(path="a/b", **options)


def test_a_path_that_names_nothing_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.path is empty; name a hub repository or a folder"):
        HfVlmConfig().build()
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'none'} does not exist")):
        HfVlmConfig(path=str(tmp_path / "none")).build()


def test_a_language_model_alone_is_refused(tmp_path, tiny_model):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 32, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(ConfigError, match=r"Unrecognized configuration class.*Llama"):
        HfVlmConfig(path=str(tmp_path), dtype="float32").build()


def test_a_processor_without_a_chat_template_is_refused(vlm_folder, tmp_path):
    import shutil

    folder = shutil.copytree(vlm_folder("llava"), tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(ConfigError, match="has no chat template"):
        vlm_config(folder, "llava").build()


def test_an_option_the_processor_does_not_know_is_refused(vlm_folder):
    with pytest.raises(ConfigError, match=r"max_image_size is no option of .*; it knows"):
        vlm_config(vlm_folder("llava"), "llava", max_image_size=490).build()


def test_random_weights_have_the_shape_of_the_published_ones(vlm_folder):
    drawn_one = vlm_config(vlm_folder("llava"), "llava", init="random").build(seed=3)
    published = vlm_config(vlm_folder("llava"), "llava").build()

    first, second = drawn_one.state_dict(), published.state_dict()
    assert {n: t.shape for n, t in first.items()} == {n: t.shape for n, t in second.items()}
    assert not torch.equal(first["model.lm_head.weight"], second["model.lm_head.weight"])


def test_a_system_message_may_stand_in_a_file(vlm_folder, tmp_path):
    file = tmp_path / "system.txt"
    file.write_text("Answer in one word.\n")

    config = vlm_config(vlm_folder("qwen2-vl"), "qwen2-vl", system=str(file))
    file.write_text("Another one, which a run that goes on does not say.")
    model = config.build()

    assert config.system == "Answer in one word."
    assert model.processor.system == "Answer in one word."
    with pytest.raises(ConfigError, match=re.escape(f"there is no file {tmp_path / 'no.txt'}")):
        vlm_config(vlm_folder("qwen2-vl"), "qwen2-vl", system=str(tmp_path / "no.txt"))
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"cannot be read: .*; save it as UTF-8 text"):
        vlm_config(vlm_folder("qwen2-vl"), "qwen2-vl", system=str(file))


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawn_model_is_written_once_and_is_the_same_everywhere(name, tmp_path, monkeypatch):
    states = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        config = HfVlmConfig(path=name, dtype="float32")
        assert config.missing_weights() == []
        states.append(config.build().state_dict())
        before = drawn(name).stat().st_mtime_ns
        config.fetch()
        assert drawn(name).stat().st_mtime_ns == before

    assert all(torch.equal(tensor, states[1][path]) for path, tensor in states[0].items())
    assert [path.name for path in (tmp_path / "a" / "model_zoo").iterdir()] == [name.rpartition("/")[2]]
