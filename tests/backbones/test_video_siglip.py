import pytest
import timm
import torch
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.backbones.video.siglip import SIGLIP_TOWERS
from merv.backbones.weights import empty_parameters
from merv.errors import CheckpointError, ConfigError
from merv.testing import check_video_backbone

from .timm_folder import before_last_block, clips, load, recorded, save_folder, save_tensors, small_vit

ARCHITECTURE = "vit_base_patch16_siglip_224"
SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 4, "mlp_ratio": 2}
NAME = "siglip-vit-b16-224px"
VARIANTS = ["", "-all-tokens", "-all-no-cls", "-classemb-at-first"]


@pytest.fixture
def vit():
    return small_vit(ARCHITECTURE, img_size=64, **SMALL)


@pytest.fixture
def folder(tmp_path, vit):
    return save_folder(tmp_path / "siglip", vit.state_dict(), ARCHITECTURE, {**SMALL, "img_size": 64})


def open_clip_layout(vit):
    """A whole model of open_clip around the tower, text side included."""
    tensors = {f"visual.trunk.{key}": tensor for key, tensor in vit.state_dict().items()}
    return {**tensors, "text.token_embedding.weight": torch.zeros(5, 8), "logit_scale": torch.tensor(1.0)}


@pytest.mark.parametrize("tower", SIGLIP_TOWERS)
def test_every_id_exists_and_names_the_first_siglip_not_the_second(tower):
    for variant in VARIANTS:
        config = VideoBackboneConfig.new(tower + variant)

        assert config.timm_name.endswith(".webli")
        assert config.source.repo == timm.get_pretrained_cfg(config.timm_name).hf_hub_id


@pytest.mark.parametrize("options", [{"tokens": tokens} for tokens in ("cls", "patches", "all", "cls-first")])
def test_every_kind_of_tokens_keeps_the_contract_and_uses_every_parameter(options):
    config = VideoBackboneConfig.new(NAME, init="random", model_args=SMALL, image_size=32, num_frames=4, **options)

    check_video_backbone(config)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("siglip-vit-b16-224px", FeatureGrid(8, 1, 1, 768)),
        ("siglip-vit-b16-224px-all-no-cls", FeatureGrid(8, 14, 14, 768)),
        ("siglip-vit-b16-256px-all-tokens", FeatureGrid(8, 14, 14, 768)),
        ("siglip-vit-b16-384px-classemb-at-first", FeatureGrid(1, 1, 1 + 8 * 196, 768)),
        ("siglip-vit-so400m-all-no-cls", FeatureGrid(8, 16, 16, 1152)),
        ("siglip-vit-so400m-384px-all-no-cls", FeatureGrid(8, 16, 16, 1152)),
    ],
)
def test_every_tower_sees_224_pixels(name, grid):
    with empty_parameters():
        encoder = VideoBackboneConfig.new(name, init="random").build()

    assert encoder.grid == grid
    assert encoder.transform.view.name == "224-naive-bicubic"
    assert encoder.transform.mean == encoder.transform.std == (0.5, 0.5, 0.5)
    assert all(block.attn.fused_attn for block in encoder.blocks())


def test_cls_is_the_pooled_vector_of_each_frame(vit, folder):
    x = clips(64)

    with torch.no_grad():
        assert_close(load(NAME, folder, num_frames=2)(x), vit(x.flatten(0, 1)).view(2, 2, 1, 32))


@pytest.mark.parametrize("variant", ["-all-tokens", "-all-no-cls"])
def test_patches_are_of_the_second_to_last_block(vit, folder, variant):
    x = clips(64)

    with torch.no_grad():
        _, patches = before_last_block(vit, x.flatten(0, 1))
        assert_close(load(NAME + variant, folder, num_frames=2)(x), patches.view(2, 2, 16, 32))


@pytest.mark.parametrize("tokens", ["all", "cls-first"])
def test_pooled_vectors_stand_where_class_tokens_would(vit, folder, tokens):
    x = clips(64)

    with torch.no_grad():
        vectors = vit(x.flatten(0, 1)).view(2, 2, 32)
        vectors = vectors.mean(1, keepdim=True) if tokens == "cls-first" else vectors
        _, patches = before_last_block(vit, x.flatten(0, 1))
        encoder = load(NAME, folder, num_frames=2, tokens=tokens)
        assert_close(encoder(x)[:, 0], torch.cat([vectors, patches.reshape(2, 32, 32)], 1))


@pytest.mark.parametrize("file", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_a_whole_open_clip_model_gives_its_tower(tmp_path, vit, folder, file):
    path = save_tensors(tmp_path / file, open_clip_layout(vit))
    x = clips(64)

    encoder = load(NAME, path, num_frames=2, model_args=SMALL, image_size=64)

    with torch.no_grad():
        assert_close(encoder(x), load(NAME, folder, num_frames=2)(x))


@pytest.mark.parametrize(("name", "trained", "side"), [(NAME, 96, 4), ("siglip-vit-so400m", 70, 4)])
def test_positions_of_a_larger_grid_are_resampled_as_timm_does(tmp_path, name, trained, side):
    architecture, _, _ = SIGLIP_TOWERS[name].partition(".")
    large = small_vit(architecture, img_size=trained, **SMALL)
    folder = save_folder(tmp_path, large.state_dict(), architecture, SMALL)
    size = side * large.patch_embed.patch_size[0]
    resampled = timm.layers.resample_abs_pos_embed(large.pos_embed, [side, side], num_prefix_tokens=0)

    encoder = load(f"{name}-all-no-cls", folder, image_size=size)

    assert encoder.grid == FeatureGrid(8, side, side, 32)
    assert_close(encoder.vit.pos_embed, resampled)


def test_features_equal_the_recorded_ones(tmp_path):
    weights, video, features = recorded("b_siglip")
    args = {"embed_dim": 64, "depth": 4, "num_heads": 4, "mlp_ratio": 2, "img_size": 64}
    folder = save_folder(tmp_path, weights, ARCHITECTURE, args)

    with torch.no_grad():
        found = load(f"{NAME}-all-no-cls", folder, num_frames=2)(video)

    assert_close(found.flatten(1, 2), features, atol=1e-5, rtol=0)  # sums of another timm and attention kernel


def test_letterbox_bars_are_the_grey_of_the_mean():
    config = VideoBackboneConfig.new(NAME, init="random", model_args=SMALL, resize="letterbox")

    assert config.build().transform.view.fill == (127, 127, 127)


def test_a_size_that_patches_of_14_do_not_tile_is_refused():
    with pytest.raises(ConfigError, match=r"image_size is 384, and its patches are 14 pixels wide; .* such as 378"):
        VideoBackboneConfig.new("siglip-vit-so400m-384px", init="random", model_args=SMALL, image_size=384).build()


def test_weights_of_another_tower_are_named_by_the_first_tensor_that_differs(folder):
    with pytest.raises(CheckpointError, match=r"`pos_embed` is \(1, 16, 32\) there, \(1, 16, 48\) here"):
        load(NAME, folder, model_args={"embed_dim": 48})
