"""What a run's folder holds when a run ends in it, whatever ended there before."""

import shutil

import pytest
from peft import LoraConfig as PeftConfig
from peft import get_peft_model

from merv.errors import CheckpointError, ConfigError
from merv.models.freeze import set_stage
from merv.models.hf_vlm.adapter_files import is_adapter_folder, read_adapter
from merv.models.hf_vlm.run_folder import start_from, write_run
from merv.models.stage import LoraConfig, StageConfig

from .adapted import load
from .rows import vlm_config

NAME = "qwen2.5-vl"
LORA = LoraConfig(rank=2, alpha=8.0, target_modules=["q_proj"])
WHOLE = {"config.json", "generation_config.json", "model.safetensors"}
ADAPTED = {"adapter_config.json", "adapter_model.safetensors", "base.json"}


def leave(folder, base, lora):
    """End a run in a folder."""
    model = vlm_config(base, NAME).build()
    set_stage(model, "finetune", StageConfig(lora=lora))
    write_run(folder, model, model.state_dict())
    return model


def held(folder):
    return {path.name for path in folder.iterdir()} & (WHOLE | ADAPTED)


def test_what_an_earlier_run_left_in_the_other_form_goes(vlm_folder, tmp_path):
    leave(tmp_path, vlm_folder(NAME), LORA)
    assert held(tmp_path) == ADAPTED

    leave(tmp_path, vlm_folder(NAME), LoraConfig())
    assert held(tmp_path) == WHOLE

    leave(tmp_path, vlm_folder(NAME), LORA)
    assert held(tmp_path) == ADAPTED


def test_the_base_an_adapter_sits_on_stays_where_both_share_a_folder(vlm_folder, tmp_path):
    base = shutil.copytree(vlm_folder(NAME), tmp_path / "run")

    leave(base, base, LORA)

    assert held(base) == WHOLE | ADAPTED


def test_an_adapter_names_a_local_base_so_that_it_is_found_from_anywhere(vlm_folder, tmp_path, monkeypatch):
    shutil.copytree(vlm_folder(NAME), tmp_path / "base")
    monkeypatch.chdir(tmp_path)

    leave(tmp_path / "run", "./base", LORA)

    assert read_adapter(tmp_path / "run").base == str(tmp_path / "base")


@pytest.mark.parametrize(
    "more", [{"use_rslora": True}, {"use_dora": True}, {"alpha_pattern": {"v_proj": 4}}, {"bias": "lora_only"}]
)
def test_an_adapter_with_a_scale_of_its_own_does_not_learn_on(more, vlm_folder, tmp_path):
    foreign = PeftConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], **more)
    get_peft_model(load(vlm_folder(NAME)), foreign).save_pretrained(tmp_path)
    model = vlm_config(vlm_folder(NAME), NAME).build()

    assert is_adapter_folder(tmp_path)
    with pytest.raises(ConfigError, match=f"an adapter with {next(iter(more))} .*; make it part of the weights first"):
        start_from(model, tmp_path, LORA)


def test_an_adapter_on_weights_that_were_drawn_fits_no_base(vlm_folder, tmp_path):
    model = vlm_config(vlm_folder(NAME), NAME, init="random").build(seed=3)
    set_stage(model, "finetune", StageConfig(lora=LORA))

    write_run(tmp_path, model, model.state_dict())

    with pytest.raises(CheckpointError, match="fingerprint random-weights"):
        vlm_config(vlm_folder(NAME), NAME, adapter=tmp_path).build()
