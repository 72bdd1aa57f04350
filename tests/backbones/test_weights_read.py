import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from merv.backbones.weights import read_tensors, read_torch_file
from merv.errors import CheckpointError

TENSORS = {"norm.weight": torch.arange(4.0), "norm.bias": torch.ones(4), "steps": torch.tensor(7)}


def save_old(tensors, path):
    """The format of torch before 1.6."""
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def save_shards(tensors, index):
    """An index, and its tensors in two files."""
    suffix = ".safetensors" if "safetensors" in index.name else ".bin"
    weight_map = {key: f"part-{number % 2}{suffix}" for number, key in enumerate(tensors)}
    for name in set(weight_map.values()):
        WRITERS[f"x{suffix}"]({key: tensors[key] for key in tensors if weight_map[key] == name}, index.with_name(name))
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


WRITERS = {
    "x.safetensors": save_file,
    "x.bin": torch.save,
    "x.pth": save_old,
    "model.safetensors.index.json": save_shards,
    "pytorch_model.bin.index.json": save_shards,
}


def refused(act):
    """The one line with which it ends."""
    with pytest.raises(CheckpointError) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_gives_the_tensors_it_was_made_of(tmp_path, name):
    WRITERS[name](TENSORS, tmp_path / name)

    found = read_tensors(tmp_path / name)

    assert found.keys() == TENSORS.keys()
    assert_close(found, TENSORS, rtol=0, atol=0)


@pytest.mark.parametrize("name", WRITERS)
def test_tensors_nobody_wants_are_left_out(tmp_path, name):
    WRITERS[name](TENSORS, tmp_path / name)

    found = read_tensors(tmp_path / name, lambda key: key.startswith("norm."))

    assert sorted(found) == ["norm.bias", "norm.weight"]


@pytest.mark.parametrize("wrapper", ["model_state", "state_dict", "model", "module"])
@pytest.mark.parametrize("save", [torch.save, save_old])
def test_a_table_wrapped_once_is_found(tmp_path, wrapper, save):
    save({"epoch": 3, "optimizer": {"lr": 0.1}, wrapper: OrderedDict(TENSORS)}, tmp_path / "x.pth")

    assert_close(dict(read_tensors(tmp_path / "x.pth")), TENSORS)


@pytest.mark.parametrize("name", WRITERS)
def test_training_what_was_read_leaves_the_file_as_it_was(tmp_path, name):
    WRITERS[name](TENSORS, tmp_path / name)
    module = nn.ModuleDict({"norm": nn.LayerNorm(4)})
    found = read_tensors(tmp_path / name, lambda key: key != "steps")
    module.load_state_dict(found, assign=True)

    with torch.no_grad():
        module.norm.weight.zero_()

    assert_close(read_tensors(tmp_path / name), TENSORS)


class _Code:
    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("save", [torch.save, save_old])
def test_a_file_that_wants_to_run_code_is_refused_and_runs_none(tmp_path, save):
    save({"norm.weight": _Code(tmp_path / "ran")}, tmp_path / "x.bin")

    assert refused(lambda: read_tensors(tmp_path / "x.bin")) == (
        f"{tmp_path / 'x.bin'} is refused: it asks for `{os.name}.mkdir`, and merv never runs code of a file; get "
        "safetensors instead"
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_no_file_of_weights(tmp_path, protocol):
    (tmp_path / "x.bin").write_bytes(pickle.dumps({"norm.weight": [1.0]}, protocol=protocol))

    assert "x.bin" in refused(lambda: read_tensors(tmp_path / "x.bin"))


@pytest.mark.parametrize("name", ["x.safetensors", "x.bin", "x.pth"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, name, kept):
    tensors = {f"layers.{number}.weight": torch.zeros(8, 8) for number in range(8)}
    WRITERS[name](tensors, tmp_path / name)
    body = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(body[: int(kept * len(body))])

    line = refused(lambda: read_tensors(tmp_path / name))

    assert str(tmp_path / name) in line
    assert line.endswith("; download it again")


def damaged(body):
    """The same bytes with one changed, or cut, at every place of a file's first part."""
    for place in range(min(len(body), 300)):
        yield body[:place]
        yield from (body[:place] + bytes([value]) + body[place + 1 :] for value in (4, 74))


@pytest.mark.parametrize("name", ["x.safetensors", "x.bin", "x.pth"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damage_at_any_place_is_refused_or_harmless(tmp_path, name):
    WRITERS[name](TENSORS, tmp_path / name)
    lines = []
    for body in damaged((tmp_path / name).read_bytes()):
        (tmp_path / name).write_bytes(body)
        try:
            read_tensors(tmp_path / name)
        except CheckpointError as error:
            lines.append(str(error))

    assert len(lines) > 300
    assert not [line for line in lines if "\n" in line]


@pytest.mark.parametrize(
    "body", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", b"<!DOCTYPE html><html>Log in"]
)
@pytest.mark.parametrize("name", ["x.safetensors", "x.bin"])
def test_another_file_under_the_name_of_weights_is_refused(tmp_path, name, body):
    (tmp_path / name).write_bytes(body)

    assert refused(lambda: read_tensors(tmp_path / name)).endswith("; download it again")


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_a_folder_or_nothing_in_place_of_a_file_is_refused(tmp_path, name, make):
    make(tmp_path / name)

    assert str(tmp_path / name) in refused(lambda: read_tensors(tmp_path / name))


@pytest.mark.parametrize(
    "found", [[torch.ones(2)], {"a": 1}, {0: torch.ones(2)}, {"model": {"a": "b"}}, torch.ones(2)]
)
def test_a_torch_file_of_something_else_is_refused(tmp_path, found):
    torch.save(found, tmp_path / "x.pth")

    assert refused(lambda: read_tensors(tmp_path / "x.pth")).endswith(
        "x.pth holds no plain table of tensors; name a file of weights"
    )
    assert type(read_torch_file(tmp_path / "x.pth")) is type(found)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "gone.bin"}}', "lacks gone.bin, which x.index.json lists; download it as well"),
        ("<html>", "x.index.json is no index of weights: Expecting value"),
        ("[]", "x.index.json is no index of weights: list indices"),
        ("{}", "x.index.json is no index of weights: 'weight_map'"),
        ('{"weight_map": {"a": null}}', "x.index.json is no index of weights"),
        ('{"weight_map": {"a": "/etc/passwd"}}', "x.index.json is no index of weights: it lists `/etc/passwd`"),
    ],
)
def test_an_index_that_cannot_be_followed_is_refused(tmp_path, index, message):
    (tmp_path / "x.index.json").write_text(index)

    assert message in refused(lambda: read_tensors(tmp_path / "x.index.json"))
