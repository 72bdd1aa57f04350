import json
import sys
import warnings
from pathlib import Path

import draccus
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.backbones.video.hiera import HieraConfig
from merv.backbones.weights import empty_parameters
from merv.errors import CheckpointError, ConfigError
from merv.testing import check_video_backbone

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"

SMALL = {
    "embed_dim": 8,
    "num_heads": 1,
    "stages": [1, 1, 2, 1],
    "input_size": [16, 64, 64],
    "q_stride": [1, 2, 2],
    "mask_unit_size": [1, 8, 8],
    "patch_kernel": [3, 7, 7],
    "patch_stride": [2, 4, 4],
    "patch_padding": [1, 3, 3],
    "sep_pos_embed": True,
}
IDS = [f"hiera-{size}-video{suffix}" for size in ("base", "base-plus", "large") for suffix in ("", "-noft")]


def small(**options):
    sizes = {"embed_dim": 8, "stages": [1, 1, 2, 1], "model_args": {"input_size": [16, 64, 64]}}
    return HieraConfig.new("hiera-base-video", **{"init": "random", **sizes, **options})


def original(kind="Hiera", **options):
    import hiera

    torch.manual_seed(0)
    return getattr(hiera, kind)(**SMALL, **options).eval()


def save(folder, model, layout, config=True):
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    if config:
        (folder / "config.json").write_text(json.dumps({**SMALL, "num_classes": 8, "norm_layer": "LayerNorm"}))
    if layout == "model.safetensors":
        save_file(state, folder / layout)
    else:
        torch.save(state if layout == "pytorch_model.bin" else {"model_state": state}, folder / layout)
    return folder / layout if layout == "torch-hub.pth" else folder


def clip(frames=16, rows=2, size=64):
    return torch.randn(rows, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def last_stage(model, pixels):
    return model(pixels.transpose(1, 2), return_intermediates=True)[1][-1].flatten(2, 3)


@pytest.mark.parametrize("layout", ["model.safetensors", "pytorch_model.bin", "torch-hub.pth"])
def test_published_layouts_give_the_last_stage_of_the_original(tmp_path, layout):
    model = original(num_classes=8)
    path = save(tmp_path, model, layout)

    encoder = HieraConfig.new("hiera-base-video", path=path).build().eval()

    with torch.no_grad():
        assert_close(encoder(clip()), last_stage(model, clip()))
    assert encoder.grid == FeatureGrid(8, 2, 2, 64)


def test_a_masked_autoencoder_gives_its_encoder(tmp_path):
    model = original("MaskedAutoencoderHiera", decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)
    path = save(tmp_path, model, "torch-hub.pth")
    bare = original()
    bare.load_state_dict(model.state_dict(), strict=False)

    encoder = HieraConfig.new("hiera-base-plus-video-noft", path=path).build().eval()

    with torch.no_grad():
        assert_close(encoder(clip()), last_stage(bare, clip()))
    assert not any(key.startswith(("decoder", "encoder_norm")) for key in encoder.model.state_dict())


def test_a_single_file_without_config_takes_the_sizes_of_the_options(tmp_path):
    path = save(tmp_path, original(), "torch-hub.pth", config=False)

    encoder = small(init="pretrained", path=path).build()

    assert encoder.grid == FeatureGrid(8, 2, 2, 64)


def test_longer_clips_are_groups_of_16_frames_encoded_apart():
    encoder = small(num_frames=32).build().eval()
    pixels = clip(32)

    with torch.no_grad():
        whole, halves = encoder(pixels), [encoder(half) for half in pixels.split(16, dim=1)]

    assert whole.shape == (2, 16, 4, 64)
    assert_close(whole, torch.cat(halves, dim=1))
    assert encoder.grid == FeatureGrid(16, 2, 2, 64)


def test_global_attention_takes_the_shape_of_fused_kernels(monkeypatch):
    encoder, attend, dimensions = small().build().eval(), torch.nn.functional.scaled_dot_product_attention, []
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda q, k, v: dimensions.append(q.ndim) or attend(q, k, v),
    )

    encoder(clip(rows=1))

    assert dimensions == [5, 5, 5, 4, 4]  # windows in the first two stages and in the block that pools their tokens


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the recorded tensors of the original")
@pytest.mark.parametrize("layout", ["model.safetensors", "torch-hub.pth"])
def test_features_are_those_of_the_recorded_reference(tmp_path, layout):
    golden = load_file(GOLDEN / "b_hiera.safetensors")
    facts = json.loads((GOLDEN / "b_hiera.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts["constructor_args"]))
    state = {key.removeprefix("param."): tensor for key, tensor in golden.items() if key.startswith("param.")}
    if layout == "model.safetensors":
        save_file(state, tmp_path / layout)
    else:
        torch.save({"model_state": state}, tmp_path / layout)
    pixels = (golden["in.video_u8"][None] / 127.5 - 1).repeat_interleave(2, -1).repeat_interleave(2, -2)

    file = tmp_path / layout if layout == "torch-hub.pth" else tmp_path
    encoder = HieraConfig.new("hiera-base-plus-video", path=file).build().eval()

    with torch.no_grad():
        found = encoder(pixels)
    assert_close(found.flatten(1, 2), golden["out.features"], atol=1e-5, rtol=0)
    assert_close(found.view(1, 8, 2, 2, 128), golden["mid.intermediate_last"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("num_frames", "resize"), [(16, "naive"), (32, "crop"), (16, "letterbox")])
def test_a_small_hiera_keeps_the_contract(num_frames, resize):
    check_video_backbone(small(num_frames=num_frames, resize=resize))


@pytest.mark.parametrize(
    ("name", "parameters", "dim", "blocks"),
    [
        ("hiera-base-video", 50_783_424, 768, 24),
        ("hiera-base-plus-video", 69_031_648, 896, 24),
        ("hiera-large-video", 212_628_096, 1152, 48),
    ],
)
@pytest.mark.parametrize("suffix", ["", "-noft"])
def test_published_sizes(name, suffix, parameters, dim, blocks):
    with empty_parameters():
        encoder = HieraConfig.new(name + suffix, init="random", num_frames=32).build()

    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder.grid == FeatureGrid(16, 7, 7, dim)
    assert len(encoder.blocks()) == blocks


@pytest.mark.parametrize("name", IDS)
def test_every_id_names_the_files_the_package_knows(name):
    import hiera

    source = VideoBackboneConfig.get(name).source
    model, checkpoint = source.repo.removeprefix("facebook/").split(".")

    assert source.url == getattr(hiera, model).checkpoints[checkpoint]
    assert name.removesuffix("-noft") == f"{model.removesuffix('_16x224').replace('_', '-')}-video"
    assert checkpoint == ("mae_k400" if name.endswith("-noft") else "mae_k400_ft_k400")


@pytest.mark.parametrize("name", IDS)
def test_a_config_comes_back_from_its_encoding(name):
    config = HieraConfig.new(name, num_frames=32, model_args={"input_size": [16, 64, 64]})

    assert draccus.decode(VideoBackboneConfig, draccus.encode(config, VideoBackboneConfig)) == config


@pytest.mark.parametrize(
    ("resize", "name"),
    [("naive", "naive-bilinear"), ("crop", "crop-bilinear-of256"), ("letterbox", "letterbox-bilinear-727272")],
)
def test_pixels_are_prepared_as_in_the_reference(resize, name):
    with empty_parameters():
        transform = HieraConfig.new("hiera-base-video", init="random", resize=resize).build().transform

    assert transform.view.name == f"224-{name}"
    assert (transform.mean, transform.std) == ((0.45,) * 3, (0.225,) * 3)


def test_importing_the_package_says_nothing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "hiera" or name == "timm.models.layers"]:
        monkeypatch.delitem(sys.modules, name)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        small().build()

    assert "timm.models.layers" in sys.modules
    assert [str(warning.message) for warning in heard] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 24}, r"`hiera-base-video`: num_frames is 24; it encodes groups of 16 .* multiple of 16"),
        ({"num_frames": 8}, "num_frames is 8"),
        ({"model_args": {"input": 3}}, "model_args has no `input`; did you mean `input_size`"),
        ({"model_args": {"input_size": [224, 224]}}, r"input_size is \(224, 224\); a video model has it for time"),
        ({"model_args": {"input_size": [16, 64, 96]}}, r"\(16, 64, 96\); frames have to be square"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        small(**options).build()

    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_repository_and_the_single_file(monkeypatch):
    monkeypatch.setattr("merv.backbones.hub.hub_is_reachable", lambda: False)
    monkeypatch.setattr("merv.backbones.hub.find_cached", lambda repo, name: None)

    with pytest.raises(ConfigError) as caught:
        HieraConfig.new("hiera-base-plus-video").fetch()

    assert "hf download facebook/hiera_base_plus_16x224.mae_k400_ft_k400" in str(caught.value)
    assert "or fetch https://dl.fbaipublicfiles.com/hiera/hiera_base_plus_16x224.pth" in str(caught.value)


def test_weights_of_another_size_are_refused(tmp_path):
    path = save(tmp_path, original(), "torch-hub.pth", config=False)

    with pytest.raises(CheckpointError, match=r"`pos_embed_spatial` is \(1, 256, 8\) there, \(1, 256, 16\) here"):
        small(init="pretrained", embed_dim=16, path=path).build()
