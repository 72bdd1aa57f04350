import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.testing import assert_close

from merv.errors import CheckpointError
from merv.models import weights
from merv.models.freeze import set_stage
from merv.models.stage import LoraConfig, StageConfig
from merv.models.weights import load_parts, read_parts, save_parts

from .rows import row, tiny_model

SMALL = {"video_backbone_ids": ["tiny-coarse"], "num_frames": [4], "llm_options": {"num_layers": 1}}
NONE = LoraConfig()


def of_parts(model, *parts):
    return {name: t for name, t in model.state_dict().items() if name.split(".")[0] in parts}


def save(model, path, *parts, lora=NONE):
    save_parts(path, of_parts(model, *parts), parts, lora)
    return path


def loss(model):
    with torch.no_grad():
        return model(model.processor.collate([model.processor.prepare(row())])).loss_sum


def test_saved_parts_load_and_the_others_stay_as_they_are(tmp_path):
    saved, model, untouched = (tiny_model(seed=seed, **SMALL) for seed in (1, 2, 2))

    parts = load_parts(model, save(saved, tmp_path / "model.safetensors", "projectors", "fusion"))

    assert sorted(parts) == ["fusion", "projectors"]
    assert_close(of_parts(model, *parts), of_parts(saved, *parts), atol=0, rtol=0)
    others = ("llm", "video_backbones")
    assert_close(of_parts(model, *others), of_parts(untouched, *others), atol=0, rtol=0)


def test_the_file_says_what_it_holds(tmp_path):
    model = tiny_model(**SMALL)

    path = save(model, tmp_path / "model.safetensors", "fusion", lora=LoraConfig(rank=0, alpha=4.0))
    tensors, parts, lora = read_parts(path)

    assert parts == ["fusion"]
    assert lora == LoraConfig(rank=0, alpha=4.0)
    assert_close(tensors, of_parts(model, "fusion"), atol=0, rtol=0)
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == "pt"


def test_a_failed_save_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    model = tiny_model(**SMALL)
    path = save(model, tmp_path / "model.safetensors", "fusion")
    before = path.read_bytes()

    def full_disk(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(weights, "save_file", full_disk)

    with pytest.raises(OSError, match="No space left"):
        save(model, path, "fusion", "llm")
    assert path.read_bytes() == before


def test_saving_leaves_no_partial_file(tmp_path):
    save(tiny_model(**SMALL), tmp_path / "model.safetensors", "fusion")

    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_adapters_come_back_merged_and_give_the_same_loss(tmp_path):
    lora = LoraConfig(rank=2, alpha=8.0, dropout=0.0)
    trained = tiny_model(**SMALL)
    set_stage(trained, "finetune", StageConfig(lora=lora))
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    model = tiny_model(seed=3, **SMALL)
    names = set(model.state_dict())

    load_parts(model, save(trained, tmp_path / "model.safetensors", *trained.parts(), lora=lora))

    assert_close(loss(model), loss(trained), atol=1e-4, rtol=1e-5)
    assert abs(loss(model) - loss(tiny_model(**SMALL))) > 1e-2
    assert set(model.state_dict()) == names


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read: .*is the run finished\?"):
        read_parts(tmp_path / "model.safetensors")


def test_a_damaged_file_is_one_line(tmp_path):
    path = save(tiny_model(**SMALL), tmp_path / "model.safetensors", "fusion")
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_parts(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_program_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match="does not say which parts it holds"):
        read_parts(tmp_path / "model.safetensors")


def test_tensors_of_another_shape_or_name_are_refused_and_change_nothing(tmp_path):
    wide = tiny_model(**{**SMALL, "llm_options": {"num_layers": 1, "hidden_size": 64}})
    deep = tiny_model(**{**SMALL, "llm_options": {"num_layers": 2}})
    model, untouched = tiny_model(**SMALL), tiny_model(**SMALL)

    with pytest.raises(CheckpointError, match=r"of another model: `projectors.* is \(64,\) there, \(128,\) here"):
        load_parts(model, save(wide, tmp_path / "wide.safetensors", "projectors"))
    with pytest.raises(CheckpointError, match=r"`llm\.model\.model\.layers\.1\..* there, nothing here"):
        load_parts(model, save(deep, tmp_path / "deep.safetensors", "llm"))
    assert_close(model.state_dict(), untouched.state_dict(), atol=0, rtol=0)


def test_a_file_that_lacks_tensors_of_its_parts_is_refused(tmp_path):
    deep = tiny_model(**{**SMALL, "llm_options": {"num_layers": 2}})
    path = save(tiny_model(**SMALL), tmp_path / "model.safetensors", "llm")

    with pytest.raises(CheckpointError, match=r"it lacks \d+ tensors, such as `llm\.model\.model\.layers\.1\."):
        load_parts(deep, path)


def test_a_saved_file_has_the_rights_of_other_files(tmp_path):
    before = os.umask(0o022)
    try:
        save_parts(tmp_path / "model.safetensors", {"llm.a": torch.zeros(1)}, ["llm"], LoraConfig())
    finally:
        os.umask(before)

    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644
