import json
import os
from unittest import mock
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from merv.errors import CheckpointError, ConfigError
from merv.filters.classifier_data import View
from merv.filters.classifier_files import load_classifier, save_classifier, start_net
from merv.filters.classifier_net import build_net

VIEW = View(24, "pad")


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "quality"
    folder.mkdir()
    save_classifier(folder, build_net("tiny").state_dict(), "tiny", VIEW, {"best_epoch": 3})
    return folder


def change_config(folder, **values):
    file = folder / "config.json"
    config = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def test_a_saved_classifier_comes_back_with_what_it_wants_to_see(saved):
    config = json.loads((saved / "config.json").read_text())

    found = load_classifier(saved)

    assert found.view == VIEW
    assert found.facts["arch"] == "tiny"
    assert len(found.facts["sha256"]) == 64
    assert config["labels"] == ["low_quality", "high_quality"]
    assert config["best_epoch"] == 3
    assert not found.net.training


def test_a_file_of_the_original_loads_as_resnet50_that_stretches(tmp_path):
    with torch.device("meta"):
        shapes = build_net("resnet50").state_dict()
    state = {f"resnet.{name}": torch.full_like(tensor, 2, device="cpu") for name, tensor in shapes.items()}
    file = tmp_path / "best_image_quality_model2.pth"
    torch.save({"epoch": 7, "model_state_dict": state, "optimizer_state_dict": {"state": {}}, "val_acc": 97.5}, file)

    found = load_classifier(file)

    assert found.view == View(224, "stretch")
    torch.testing.assert_close(found.net.state_dict()["fc.6.weight"], torch.full((2, 256), 2.0))


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_pickle_with_anything_but_tensors_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": Harm()}, "bad.pth")

    with pytest.raises(CheckpointError, match=r"bad.pth is damaged, or holds more than tensors; fetch it again"):
        load_classifier(tmp_path / "bad.pth")
    assert not (tmp_path / "harmed").exists()


def test_files_that_are_no_classifier_are_one_line(tmp_path, saved):
    (tmp_path / "junk.pth").write_bytes(b"junk")
    torch.save([1, 2], tmp_path / "list.pth")
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")

    with pytest.raises(CheckpointError, match=r"there is no .*missing.pth; name the folder"):
        load_classifier(tmp_path / "missing.pth")
    with pytest.raises(CheckpointError, match=r"junk.pth is damaged"):
        load_classifier(tmp_path / "junk.pth")
    with pytest.raises(CheckpointError, match=r"list.pth holds no tensors by name"):
        load_classifier(tmp_path / "list.pth")
    with pytest.raises(
        CheckpointError, match=r"is of another net than resnet50: 325 tensors differ, such as a: \(1,\)"
    ):
        load_classifier(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"is no classifier: it has no config.json"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_of_a_classifier_is_told_to_be_one_of_a_folder(saved, name):
    with pytest.raises(CheckpointError, match=rf"{name} is one file of a classifier; name its folder, .*/quality$"):
        load_classifier(saved / name)


def test_a_folder_of_another_shape_is_one_line(saved):
    change_config(saved, arch="resnet18")
    with pytest.raises(
        CheckpointError, match=r"model.safetensors is of another net than resnet18: \d+ tensors differ"
    ):
        load_classifier(saved)
    change_config(saved, arch="vgg")
    with pytest.raises(CheckpointError, match=r"has arch vgg and resize pad; this version knows no such"):
        load_classifier(saved)
    change_config(saved, arch="tiny", mean=None)
    with pytest.raises(CheckpointError, match=r"config.json is not what train-classifier writes: KeyError 'mean'"):
        load_classifier(saved)
    (saved / "model.safetensors").unlink()
    change_config(saved, mean=[0.5] * 3)
    with pytest.raises(CheckpointError, match=r"there is no .*model.safetensors"):
        load_classifier(saved)


def test_random_weights_come_from_the_seed_and_leave_other_randomness_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)

    one, same, other = (start_net("tiny", "random", seed).state_dict()["fc.0.weight"] for seed in (5, 5, 6))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.rand(1), expected)


def test_training_may_begin_with_another_classifier_or_with_a_net_of_another_head(saved, tmp_path):
    state = load_classifier(saved).net.state_dict()
    body = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    torch.save({**body, "fc.weight": torch.ones(1000, 64), "fc.bias": torch.ones(1000)}, tmp_path / "imagenet.pth")

    whole = start_net("tiny", str(saved), 1).state_dict()
    begun = start_net("tiny", str(tmp_path / "imagenet.pth"), 1).state_dict()

    assert all(torch.equal(whole[name], tensor) for name, tensor in state.items())
    assert all(torch.equal(begun[name], tensor) for name, tensor in body.items())
    assert torch.equal(begun["fc.0.weight"], start_net("tiny", "random", 1).state_dict()["fc.0.weight"])
    with pytest.raises(CheckpointError, match="is of another net than resnet18"):
        start_net("resnet18", str(saved), 1)


def test_weights_of_imagenet_that_cannot_be_had_are_one_line_with_ways(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    no_network = mock.patch("torch.hub.download_url_to_file", side_effect=URLError("no route"))

    with (
        no_network,
        pytest.raises(ConfigError, match=r"not at .*checkpoints/resnet18-\w+.pth, and https.*no route.*FILE"),
    ):
        start_net("resnet18", "imagenet", 1)
    with pytest.raises(ConfigError, match="arch tiny has no weights of ImageNet; add --init random"):
        start_net("tiny", "imagenet", 1)


def test_weights_of_imagenet_on_the_disk_need_no_network(tmp_path, monkeypatch):
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs = resnet18().state_dict()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs, folder / ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2])

    with mock.patch("torch.hub.download_url_to_file", side_effect=AssertionError):
        found = start_net("resnet18", "imagenet", 1).state_dict()

    torch.testing.assert_close(found["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
