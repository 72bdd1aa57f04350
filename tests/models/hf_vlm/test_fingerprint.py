"""Bases told apart by a few of their bytes."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from merv.errors import CheckpointError, ConfigError
from merv.models.hf_vlm.fingerprint import SAMPLE, base_fingerprint, stored_tensors

TENSORS = {"a": torch.arange(8192.0), "b": torch.ones(2, 3)}


def write(folder, tensors, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name)
    return folder


@pytest.fixture
def base(tmp_path):
    return write(tmp_path / "base", TENSORS)


def test_the_same_tensors_have_one_fingerprint_however_they_are_spread(base, tmp_path):
    sharded = write(tmp_path / "sharded", {"a": TENSORS["a"]}, "one.safetensors")
    write(sharded, {"b": TENSORS["b"]}, "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))

    assert base_fingerprint(sharded) == base_fingerprint(base)
    assert len(base_fingerprint(base)) == 16


@pytest.mark.parametrize(
    "changed",
    [
        {"a": TENSORS["a"], "c": TENSORS["b"]},
        {"a": TENSORS["a"], "b": TENSORS["b"].T.contiguous()},
        {"a": TENSORS["a"], "b": TENSORS["b"].to(torch.int32)},
        {"a": TENSORS["a"] + (torch.arange(8192) == 4096), "b": TENSORS["b"]},
        {"a": TENSORS["a"], "b": TENSORS["b"] * 2},
    ],
)
def test_names_shapes_types_and_values_count(changed, base, tmp_path):
    assert base_fingerprint(write(tmp_path / "other", changed)) != base_fingerprint(base)


def test_only_the_middle_of_a_tensor_is_read(base, tmp_path):
    tensor = TENSORS["a"].clone()
    tensor[0] = -1
    assert tensor.nbytes > 2 * SAMPLE

    assert base_fingerprint(write(tmp_path / "other", {**TENSORS, "a": tensor})) == base_fingerprint(base)


def test_a_torch_file_has_one_too(tmp_path):
    folders = []
    for name, value in (("one", 0.0), ("two", 0.0), ("other", 1.0)):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        torch.save({"a": torch.full((64,), value)}, folders[-1] / "pytorch_model.bin")

    one, two, other = map(base_fingerprint, folders)
    assert one == two != other


def test_a_tensor_is_found_where_its_bytes_are(base):
    stored = stored_tensors([base / "model.safetensors"])["b"]

    with stored.file.open("rb") as file:
        file.seek(stored.start)
        assert file.read(stored.end - stored.start) == load_file(stored.file)["b"].numpy().tobytes()
    assert (stored.dtype, stored.shape) == ("F32", (2, 3))


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no weights \(none of model\.safetensors"):
        base_fingerprint(tmp_path)


def test_damaged_weights_are_named(base):
    file = base / "model.safetensors"
    content = file.read_bytes()
    for damaged, line in ((b"abc", "cannot be read"), (b"\xff" * 99, "header"), (content[:-9], "is cut off")):
        file.write_bytes(damaged)

        with pytest.raises(CheckpointError, match=line):
            base_fingerprint(base)
