import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from merv.backbones.hub import HubSource
from merv.backbones.video.base import VideoBackboneConfig
from merv.backbones.weights import PublishedWeights, empty_parameters, lay_onto
from merv.errors import CheckpointError, ConfigError

from .hub_server import running_hub
from .llm_folder import new, save_llm
from .timm_folder import clips, load, save_folder, small_vit

WHAT = "video backbone `x`"


def refused(act, error=CheckpointError):
    """The one line with which it ends."""
    with pytest.raises(error) as caught:
        act()
    line = str(caught.value)
    assert "\n" not in line
    return line


class Part(nn.Module):
    """A parameter of every kind, and buffers that are saved or not."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(3, 4)
        self.norm = nn.LayerNorm(4, dtype=torch.bfloat16)
        self.register_buffer("steps", torch.tensor(0))
        self.register_buffer("scale", torch.full((4,), 0.5), persistent=False)


def published():
    generator = torch.Generator().manual_seed(0)
    state = Part().state_dict()
    return {
        key: torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else torch.tensor(7)
        for key, tensor in state.items()
    }


def test_empty_parameters_take_no_memory_and_buffers_are_real():
    with empty_parameters():
        part = Part()

    assert all(parameter.is_meta for parameter in part.parameters())
    assert [buffer.tolist() for buffer in part.buffers()] == [0, [0.5] * 4]


@pytest.mark.parametrize("make", [Part, pytest.param(None, id="empty")])
def test_weights_take_the_place_of_parameters_and_saved_buffers(tmp_path, make):
    if make is None:
        with empty_parameters():
            part = Part()
    else:
        part = make()
    part.norm.bias.requires_grad_(False)
    tensors = published()

    lay_onto(part, tensors, tmp_path, WHAT)

    assert_close(dict(part.state_dict()), {**tensors, **norm_of(tensors, torch.bfloat16)}, rtol=0, atol=0)
    assert part.scale.tolist() == [0.5] * 4
    assert [name for name, p in part.named_parameters() if p.requires_grad] == ["embed.weight", "norm.weight"]
    assert all(parameter.is_leaf for parameter in part.parameters())
    assert set(dict(part.named_buffers())) == {"steps", "scale"}


def norm_of(tensors, dtype):
    return {key: tensor.to(dtype) for key, tensor in tensors.items() if key.startswith("norm.")}


def test_parameters_in_a_file_bring_neither_gradients_nor_their_kind(tmp_path):
    tensors = {key: nn.Parameter(tensor, tensor.is_floating_point()) for key, tensor in published().items()}
    part = Part().requires_grad_(False)

    lay_onto(part, tensors, tmp_path, WHAT)

    assert not any(parameter.requires_grad for parameter in part.parameters())
    assert set(dict(part.named_buffers())) == {"steps", "scale"}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"embed.weight": torch.ones(5, 4), "norm.bias": None}, "`embed.weight` is (5, 4) there, (3, 4) here"),
        ({"norm.bias": None, "other": torch.ones(2)}, "`norm.bias` is missing there, (4,) here"),
        ({"steps": torch.ones(1)}, "`steps` is (1,) there, () here"),
        ({"other": torch.ones(2, 3)}, "`other` is (2, 3) there, missing here"),
    ],
)
def test_the_first_difference_is_named(change, difference):
    part, file = Part(), Path("weights/model.safetensors")
    before = {key: tensor.clone() for key, tensor in part.state_dict().items()}
    tensors = {key: tensor for key, tensor in {**published(), **change}.items() if tensor is not None}

    line = refused(lambda: lay_onto(part, tensors, file, WHAT))

    assert line == (
        f"video backbone `x`: weights/model.safetensors is of another model: {difference}; name the weights of this "
        "architecture"
    )
    assert_close(dict(part.state_dict()), before, rtol=0, atol=0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


@pytest.mark.parametrize("given", [("first",), ("second",), ("first", "second")])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tied_parameters_stay_one_and_may_be_saved_once(tmp_path, given, device):
    with torch.device(device):
        module = Tied()

    lay_onto(module, {f"{name}.weight": torch.eye(2) for name in given}, tmp_path, WHAT)

    assert module.first.weight is module.second.weight
    assert module.first.weight.requires_grad
    assert module.second.weight.tolist() == [[1, 0], [0, 1]]


def test_tied_parameters_of_another_size_are_refused(tmp_path):
    line = refused(lambda: lay_onto(Tied(), {"second.weight": torch.eye(3)}, tmp_path, WHAT))

    assert "`first.weight` is (3, 3) there, (2, 2) here" in line


def test_a_buffer_no_file_holds_must_not_be_empty(tmp_path):
    with torch.device("meta"):
        part = Part()

    with pytest.raises(AssertionError, match=r"no weights for \['scale'\]; make it within empty_parameters"):
        lay_onto(part, published(), tmp_path, WHAT)


@dataclass
class PartConfig(PublishedWeights):
    """A config around `Part`, as encoders and language models have them."""

    source: ClassVar[HubSource] = HubSource("someone/part")
    part_name: ClassVar[str] = "part"
    type_name: ClassVar[str] = "small"

    def build(self):
        with self.parameters_of_build():
            part = Part()
        self.load_published(part, lambda key: key.removeprefix("tower.") if key.startswith("tower.") else None)
        return part


@pytest.fixture
def folder(tmp_path):
    """Published weights with something else in the same file."""
    tensors = {f"tower.{key}": tensor for key, tensor in published().items()}
    save_file({**tensors, "head.weight": torch.ones(9, 9)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"width": 4}')
    return tmp_path


@pytest.mark.parametrize("file", ["", "model.safetensors", "renamed.safetensors"])
def test_a_path_is_a_folder_or_the_file_in_it(folder, file):
    if file:
        shutil.move(folder / "model.safetensors", folder / file)
    config = PartConfig(path=folder / file)

    assert config.fetch() is None
    assert config.missing() is None
    assert config.read_json("config.json") == {"width": 4}
    assert config.read_json("preprocessor_config.json") == {}
    assert_close(config.build().embed.weight.detach(), published()["embed.weight"], rtol=0, atol=0)


def test_random_weights_ask_for_no_file_and_keep_the_published_sizes(folder):
    config = PartConfig(path=folder)
    (folder / "model.safetensors").unlink()

    drawn = config.drawn()

    assert (config.is_published(), drawn.is_published()) == (True, False)
    assert (config.init, drawn.path) == ("pretrained", folder)
    assert (drawn.fetch(), drawn.missing()) == (None, None)
    assert drawn.read_json("config.json") == {"width": 4}
    assert PartConfig(init="random").read_json("config.json") == {}
    assert not any(tensor.is_meta for tensor in drawn.build().state_dict().values())


@pytest.mark.parametrize("text", ["{", "[1]", "\N{DEGREE SIGN}"])
def test_a_config_that_is_none_is_refused(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))

    line = refused(lambda: PartConfig(path=folder).read_json("config.json"), ConfigError)

    assert line.startswith(f"part `small`: {folder / 'config.json'} ")
    assert line.endswith("; download it again")


def test_a_path_that_is_not_there_is_told_by_every_step(tmp_path):
    vit = small_vit("vit_base_patch16_siglip_224", embed_dim=32, depth=1, num_heads=4, img_size=32)
    save_folder(tmp_path, vit.state_dict(), "vit_base_patch16_siglip_224", {"embed_dim": 32})
    config = VideoBackboneConfig.new("siglip-vit-b16-224px", path=str(tmp_path / "nowhere"))
    told = (
        f"video backbone `siglip-vit-b16-224px`: {tmp_path / 'nowhere'} does not exist; set "
        "--model.siglip-vit-b16-224px_path DIR to a folder in the published layout"
    )

    assert config.missing() == told
    assert refused(config.fetch, ConfigError) == told
    assert refused(config.build, ConfigError) == told
    assert config.read_json("config.json") == {}, "the config of the folder above is another model's"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path / "cache") as hub:
        yield hub


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_an_encoder_of_the_hub_equals_that_of_a_folder_with_the_same_files(hub, tmp_path, file):
    sizes = {"embed_dim": 32, "depth": 3, "num_heads": 4, "mlp_ratio": 2, "img_size": 64}
    vit = small_vit("vit_base_patch16_siglip_224", **sizes)
    folder = save_folder(tmp_path / "siglip", vit.state_dict(), "vit_base_patch16_siglip_224", sizes, file=file)
    config = VideoBackboneConfig.new("siglip-vit-b16-224px-all-tokens")
    hub.publish(config.source.repo, folder)
    before = config.missing()

    config.fetch()
    asked = list(hub.asked)
    found = config.build().eval()

    assert before.startswith("video backbone `siglip-vit-b16-224px-all-tokens`: no weights on this disk; run `hf")
    assert config.missing() is None
    assert config.read_json("config.json")["model_args"] == sizes
    assert sorted(hub.fetched()) == sorted(["config.json", file])
    assert hub.asked == asked, "what was fetched is built without the hub"
    with torch.inference_mode():
        assert_close(found(clips(64)), load("siglip-vit-b16-224px-all-tokens", folder)(clips(64)), rtol=0, atol=0)


@pytest.mark.parametrize("weights", ["safetensors", "sharded bin"])
def test_an_llm_of_the_hub_equals_that_of_a_folder_with_the_same_files(hub, tmp_path, weights):
    save_llm(tmp_path / "vicuna", weights=weights)
    (tmp_path / "vicuna" / "rust_model.ot").write_bytes(b"weights of a format merv does not read")
    config = new("vicuna-v15-7b")
    hub.publish(config.source.repo, tmp_path / "vicuna")
    before = config.missing()

    config.fetch()
    asked = list(hub.asked)
    found = config.build()

    assert before.startswith("LLM backbone `vicuna-v15-7b`: no weights on this disk; run `hf download lmsys/")
    assert config.missing() is None
    assert "rust_model.ot" not in hub.fetched()
    assert len(hub.fetched()) == len(set(hub.fetched()))
    assert hub.asked == asked, "what was fetched is built without the hub"
    assert_close(
        found.model.state_dict(),
        new("vicuna-v15-7b", path=tmp_path / "vicuna").build().model.state_dict(),
        rtol=0,
        atol=0,
    )
