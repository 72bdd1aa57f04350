import json

import pytest
import timm
import torch
from torch.testing import assert_close

from merv.backbones.video import dinov2  # noqa: F401 - registers the ids
from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.backbones.weights import empty_parameters
from merv.errors import CheckpointError, ConfigError
from merv.testing import check_video_backbone

from .timm_folder import before_last_block, clips, load, recorded, save_folder, save_tensors, small_vit

ARCHITECTURE = "vit_large_patch14_reg4_dinov2"
SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 4}
IDS = [
    "dinov2-video",
    "dinov2-video-all-tokens",
    "dinov2-video-all-token-with-cls",
    "dinov2-video-classemb-at-first",
]


@pytest.fixture
def vit():
    return small_vit(ARCHITECTURE, img_size=56, **SMALL)


@pytest.fixture
def folder(tmp_path, vit):
    return save_folder(tmp_path / "dinov2", vit.state_dict(), ARCHITECTURE, {**SMALL, "img_size": 56})


def facebook_layout(vit):
    """The state dict in the names of the authors' own file: position 0 belongs to the class token."""
    tensors = dict(vit.state_dict())
    first = torch.full_like(tensors["cls_token"], 0.25)
    tensors["pos_embed"] = torch.cat([first, tensors["pos_embed"]], 1)
    tensors["cls_token"] = tensors["cls_token"] - first
    tensors["register_tokens"] = tensors.pop("reg_token")
    return {**tensors, "mask_token": torch.zeros(1, vit.embed_dim)}


@pytest.mark.parametrize("name", IDS)
def test_every_id_keeps_the_contract_and_uses_every_parameter(name):
    check_video_backbone(VideoBackboneConfig.new(name, init="random", model_args=SMALL, image_size=28, num_frames=4))


@pytest.mark.parametrize(
    ("name", "grid", "num_blocks"),
    [
        ("dinov2-video", FeatureGrid(8, 1, 1, 1024), 24),
        ("dinov2-video-all-tokens", FeatureGrid(8, 16, 16, 1024), 23),
        ("dinov2-video-all-token-with-cls", FeatureGrid(1, 1, 8 * 257, 1024), 23),
        ("dinov2-video-classemb-at-first", FeatureGrid(1, 1, 1 + 8 * 256, 1024), 23),
    ],
)
def test_the_published_size_runs_with_fused_attention(name, grid, num_blocks):
    with empty_parameters():
        encoder = VideoBackboneConfig.new(name, init="random").build()

    assert encoder.grid == grid
    assert len(encoder.blocks()) == num_blocks
    assert all(block.attn.fused_attn for block in encoder.blocks())


def test_weights_come_from_the_repository_timm_names():
    config = VideoBackboneConfig.new("dinov2-video-all-tokens")

    assert config.source.repo == timm.get_pretrained_cfg(config.timm_name).hf_hub_id


def test_cls_is_the_vector_timm_pools_of_each_frame(vit, folder):
    x = clips(56)

    with torch.no_grad():
        assert_close(load("dinov2-video", folder, num_frames=2)(x), vit(x.flatten(0, 1)).view(2, 2, 1, 32))


def test_patches_are_of_the_second_to_last_block_without_class_token_and_registers(vit, folder):
    x = clips(56)

    with torch.no_grad():
        _, patches = before_last_block(vit, x.flatten(0, 1))
        assert_close(load("dinov2-video-all-tokens", folder, num_frames=2)(x), patches.view(2, 2, 16, 32))


def test_class_tokens_of_all_frames_stand_before_all_patches(vit, folder):
    x = clips(56)

    with torch.no_grad():
        prefix, patches = before_last_block(vit, x.flatten(0, 1))
        expected = torch.cat([prefix[:, 0].view(2, 2, 32), patches.reshape(2, 32, 32)], 1)
        assert_close(load("dinov2-video-all-token-with-cls", folder, num_frames=2)(x), expected[:, None])


def test_one_class_token_averaged_over_frames_stands_before_all_patches(vit, folder):
    x = clips(56)

    with torch.no_grad():
        prefix, patches = before_last_block(vit, x.flatten(0, 1))
        expected = torch.cat([prefix[:, 0].view(2, 2, 32).mean(1, keepdim=True), patches.reshape(2, 32, 32)], 1)
        assert_close(load("dinov2-video-classemb-at-first", folder, num_frames=2)(x), expected[:, None])


@pytest.mark.parametrize("file", ["pytorch_model.bin", "dinov2_vitl14_reg4_pretrain.pth"])
def test_torch_files_hold_the_same_model_as_safetensors(tmp_path, vit, folder, file):
    other = save_folder(tmp_path / "other", vit.state_dict(), ARCHITECTURE, {**SMALL, "img_size": 56}, file)
    if file.endswith(".pth"):
        save_tensors(other / file, facebook_layout(vit))
    x = clips(56)

    with torch.no_grad():
        assert_close(load("dinov2-video", other, num_frames=2)(x), load("dinov2-video", folder, num_frames=2)(x))


def test_positions_of_a_larger_grid_are_resampled_as_timm_does(tmp_path):
    large = small_vit(ARCHITECTURE, img_size=98, **SMALL)
    folder = save_folder(tmp_path, large.state_dict(), ARCHITECTURE, SMALL)
    resampled = timm.create_model(
        ARCHITECTURE,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(folder / "model.safetensors"), "input_size": (3, 98, 98)},
        num_classes=0,
        img_size=56,
        **SMALL,
    ).eval()
    x = clips(56)

    encoder = load("dinov2-video", folder, image_size=56, num_frames=2)

    with torch.no_grad():
        assert_close(encoder(x), resampled(x.flatten(0, 1)).view(2, 2, 1, 32))


def test_a_folder_states_size_and_statistics_and_image_size_has_the_last_word(folder):
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"] |= {"mean": [0.1, 0.2, 0.3], "interpolation": "bilinear"}
    (folder / "config.json").write_text(json.dumps(config))

    stated = load("dinov2-video-all-tokens", folder)
    chosen = load("dinov2-video-all-tokens", folder, image_size=28)

    assert (stated.transform.view.size, chosen.transform.view.size) == (56, 28)
    assert (stated.grid.height, chosen.grid.height) == (4, 2)
    assert stated.transform.mean == (0.1, 0.2, 0.3)
    assert stated.transform.view.interpolation == "bilinear"
    assert stated.transform.view.fill == (25, 51, 76)


def test_features_equal_the_recorded_ones(tmp_path):
    weights, video, features = recorded("b_dinov2")
    args = {"embed_dim": 64, "depth": 4, "num_heads": 4, "img_size": 56}
    folder = save_folder(tmp_path, weights, ARCHITECTURE, args)

    with torch.no_grad():
        found = load("dinov2-video-all-tokens", folder, num_frames=2)(video)

    assert_close(found.flatten(1, 2), features, atol=1e-5, rtol=0)  # sums of another timm and attention kernel


def test_each_resize_is_bicubic_with_the_mean_as_bars():
    views = [
        VideoBackboneConfig.new("dinov2-video", init="random", model_args=SMALL, resize=resize).build().transform.view
        for resize in ("naive", "crop", "letterbox")
    ]

    names = [view.name for view in views]
    assert names == ["224-naive-bicubic", "224-crop-bicubic", "224-letterbox-bicubic-7b7467"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 60}, "image_size is 60, and its patches are 14 pixels wide; give a multiple, such as 56"),
        ({"image_size": 5}, "image_size is 5, and its patches are 14 pixels wide; give a multiple, such as 14"),
        ({"image_size": 0}, "image_size is 0; give the side of a square"),
        ({"tokens": "registers"}, "tokens.*registers"),
        ({"timm_name": "vit_huge_dinov9.x"}, "has no architecture `vit_huge_dinov9`"),
        ({"timm_name": "resnet18", "model_args": {}}, "resnet18"),
        ({"model_args": {"widht": 3}}, "widht.*; correct model_args"),
        ({"model_args": {"embed_dim": 33, "num_heads": 4}}, "divisible.*; correct model_args"),
        ({"model_args": {**SMALL, "img_size": [56, 28]}}, r"image_size is \[56, 28\]; give the side of a square"),
        ({"model_args": {**SMALL, "depth": 1}, "tokens": "patches"}, "depth is 1; patches come from"),
    ],
)
def test_options_that_make_no_encoder_are_refused_in_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        VideoBackboneConfig.new("dinov2-video", **({"init": "random", "model_args": SMALL} | options)).build()

    assert "\n" not in str(caught.value)


def test_an_architecture_timm_lacks_is_named(folder):
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_none"}))

    with pytest.raises(ConfigError, match=r"has no architecture `vit_none`; correct it in config.json"):
        load("dinov2-video", folder)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"embed_dim": 64}, r"`cls_token` is \(1, 1, 32\) there, \(1, 1, 64\) here"),
        ({"depth": 4}, r"`blocks.3.norm1.weight` is missing there"),
        ({"depth": 2}, r"`blocks.2.attn.proj.bias` is \(32,\) there, missing here"),
        ({"reg_tokens": 0}, r"`reg_token` is \(1, 4, 32\) there, missing here"),
        ({"patch_size": 28}, r"`patch_embed.proj.weight` is \(32, 3, 14, 14\) there, \(32, 3, 28, 28\) here"),
    ],
)
def test_weights_of_another_size_are_named_by_the_first_tensor_that_differs(folder, args, message):
    with pytest.raises(CheckpointError, match=message):
        load("dinov2-video-all-tokens", folder, model_args=args)


def test_weights_without_registers_are_refused_in_one_line(tmp_path):
    plain = small_vit("vit_large_patch14_dinov2", img_size=56, **SMALL)
    folder = save_folder(tmp_path, plain.state_dict(), ARCHITECTURE, {**SMALL, "img_size": 28})

    with pytest.raises(
        CheckpointError, match=r"is of another model: .*name the weights of this architecture"
    ) as caught:
        load("dinov2-video", folder)

    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_says_what_it_lacks(tmp_path):
    with pytest.raises(ConfigError, match=r"video backbone `dinov2-video`: .* holds none of model.safetensors"):
        load("dinov2-video", tmp_path)
