import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.backbones.video.languagebind import LanguageBindConfig
from merv.backbones.video.languagebind_tower import Tower, TowerConfig
from merv.errors import CheckpointError, ConfigError
from merv.testing import check_video_backbone
from merv.video.transforms import ClipTransform, View

from .published import save_folder

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "b_languagebind_wrapper.safetensors"
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
    "num_frames": 4,
    "hidden_act": "gelu",
}
PUBLISHED = {"model_type": "LanguageBindVideo", "vision_config": {**SMALL, "add_time_attn": True, "lora_r": 0}}
GRIDS = {
    "languagebind-video": FeatureGrid(8, 1, 5, 32),
    "languagebind-video-noclass": FeatureGrid(8, 2, 2, 32),
    "languagebind-video-averagetoken": FeatureGrid(8, 1, 1, 32),
    "languagebind-video-classemb": FeatureGrid(8, 1, 1, 32),
    "languagebind-video-classemb-at-first": FeatureGrid(1, 1, 33, 32),
}


def tower_weights(prefix="", **options):
    """The whole published tower: the layer and the norm that nothing reads, and the numbers of the places, too."""
    torch.manual_seed(0)
    layers = SMALL["num_hidden_layers"] + 1  # a tower leaves the last of its layers out
    whole = Tower(TowerConfig(**{**SMALL, **options, "num_hidden_layers": layers})).state_dict()
    extra = {"post_layernorm.weight": torch.ones(32), "post_layernorm.bias": torch.zeros(32)}
    extra["embeddings.position_ids"] = torch.arange(5)[None]
    return {prefix + key: value for key, value in {**whole, **extra}.items()}


def full_weights():
    """The layout of the published repository: the tower beside a text model and two projections."""
    text = {
        "text_model.embeddings.token_embedding.weight": torch.zeros(7, 8),
        "text_model.encoder.layers.0.mlp.fc1.weight": torch.zeros(4, 8),
        "visual_projection.weight": torch.zeros(8, 32),
        "logit_scale": torch.tensor(2.6592),
    }
    return {**tower_weights("vision_model."), **text}


def new(name="languagebind-video", **options):
    return LanguageBindConfig.new(name, **options)


def random_tower(name, **options):
    torch.manual_seed(0)
    return new(name, init="random", tower=SMALL, **options).build().eval()


def clips(frames=8, rows=2):
    return torch.randn(rows, frames, 3, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", GRIDS)
def test_every_variant_of_the_tokens_keeps_the_contract(name):
    config = new(name, init="random", tower=SMALL)

    encoder = config.build()

    assert encoder.grid == GRIDS[name]
    assert not encoder.framewise
    check_video_backbone(config)


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("languagebind-video", FeatureGrid(16, 1, 257, 1024)),
        ("languagebind-video-noclass", FeatureGrid(16, 16, 16, 1024)),
        ("languagebind-video-averagetoken", FeatureGrid(16, 1, 1, 1024)),
        ("languagebind-video-classemb", FeatureGrid(16, 1, 1, 1024)),
        ("languagebind-video-classemb-at-first", FeatureGrid(1, 1, 4097, 1024)),
    ],
)
def test_published_sizes_are_the_default(name, grid):
    with torch.device("meta"):
        encoder = new(name, init="random", num_frames=16).build()

    assert encoder.grid == grid
    assert len(encoder.blocks()) == 23
    assert encoder.tower.num_frames == 8


@torch.no_grad()
def test_variants_are_choices_of_the_same_features():
    pixels = clips()
    found = {name: random_tower(name)(pixels) for name in GRIDS}
    whole = found["languagebind-video"]

    assert_close(found["languagebind-video-noclass"], whole[:, :, 1:])
    assert_close(found["languagebind-video-averagetoken"], whole.mean(2, keepdim=True))
    assert_close(found["languagebind-video-classemb"], whole[:, :, :1])
    first = found["languagebind-video-classemb-at-first"]
    assert_close(first[:, 0, 0], whole[:, :, 0].mean(1))
    assert_close(first[:, 0, 1:], whole[:, :, 1:].reshape(2, 32, 32))


@torch.no_grad()
def test_the_recorded_wrapper_gives_the_same_tokens(tmp_path):
    if not GOLDEN.exists():
        pytest.skip("recorded tensors of the original are not beside this checkout")
    recorded = load_file(GOLDEN)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision |= {"image_size": 224, "patch_size": 14, "num_frames": 8, "add_time_attn": True, "hidden_act": "gelu"}
    weights = {k.replace("param.", "vision_model."): v for k, v in recorded.items() if k.startswith("param.")}
    folder = save_folder(tmp_path, weights, {"vision_config": vision, "projection_dim": 16})
    pixels = (recorded["in.video_u8"] / 127.5 - 1).repeat_interleave(8, -1).repeat_interleave(8, -2)[None]

    found = new("languagebind-video-noclass", path=str(folder)).build()(pixels).flatten(1, 2)

    assert_close(found[:, ::4], recorded["out.noclass_every16"], atol=1e-5, rtol=0)
    # A sum of 2048 values, each within 1e-5 in its own direction.
    assert_close(found.double().sum(1), recorded["out.noclass_sum"], atol=1e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("weights", [full_weights, tower_weights], ids=["whole model", "tower alone"])
def test_published_layouts_load(tmp_path, file, weights):
    published = weights()
    folder = save_folder(tmp_path, published, PUBLISHED, file=file)

    encoder = new(path=str(folder)).build()

    state = encoder.tower.state_dict()
    prefix = "vision_model." if weights is full_weights else ""
    assert_close(state, {key: published[prefix + key] for key in state}, atol=0, rtol=0)
    assert len(state) < len(published)
    assert encoder(clips()).isfinite().all()


def test_numbers_come_from_config_json_beside_the_weights(tmp_path):
    folder = save_folder(tmp_path, full_weights(), PUBLISHED)

    described = new(path=str(folder)).architecture()
    flat = new(path=str(save_folder(tmp_path / "flat", {}, SMALL))).architecture()
    random = new(path=str(folder), init="random").build()

    assert described == flat == TowerConfig(**SMALL)
    assert random.grid == GRIDS["languagebind-video"]


def test_without_config_json_the_tower_is_as_the_options_say(tmp_path):
    folder = save_folder(tmp_path, full_weights())

    assert new(path=str(folder)).architecture() == TowerConfig()
    assert new(path=str(folder), tower=SMALL).build().grid == GRIDS["languagebind-video"]


def test_what_config_json_leaves_out_is_as_in_the_original(tmp_path):
    vision = {key: SMALL[key] for key in SMALL if key not in ("hidden_act", "num_attention_heads")}
    folder = save_folder(tmp_path, {}, {"vision_config": {**vision, "hidden_size": 48}})

    tower = new(path=str(folder)).architecture()

    assert (tower.hidden_act, tower.num_attention_heads) == ("quick_gelu", 12)


@pytest.mark.parametrize("method", ["fetch", "build"])
def test_frames_that_are_no_whole_groups_are_refused(tmp_path, method):
    folder = save_folder(tmp_path, full_weights(), PUBLISHED)
    config = new("languagebind-video-noclass", path=str(folder), num_frames=6)

    with pytest.raises(
        ConfigError, match=r"`languagebind-video-noclass`: num_frames is 6, .* groups of 4; give a mul"
    ):
        getattr(config, method)()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"vision_config": {**SMALL, "clip_type": "vl_new"}},
            "clip_type `vl_new`, a tower merv does not have; get Lang",
        ),
        ({"vision_config": {**SMALL, "hidden_act": "relu"}}, "config.json beside the weights: hidden_act is 'relu'"),
        ({"vision_config": {**SMALL, "num_frames": None}}, "config.json beside the weights: num_frames is None"),
        ({"vision_config": 3}, "vision_config in config.json is no object"),
    ],
)
def test_a_config_of_another_tower_is_refused(tmp_path, config, message):
    folder = save_folder(tmp_path, full_weights(), config)

    with pytest.raises(ConfigError, match=re.escape(message)):
        new(path=str(folder)).build()


def with_low_rank_updates(tensors):
    """The layout of repositories whose name lacks `_merge`."""
    layered = {key.replace("encoder.layers", "encoder.base_model.model.layers"): t for key, t in tensors.items()}
    name = "vision_model.encoder.base_model.model.layers.0.temporal_attn.k_proj."
    layered[name + "base_layer.weight"] = layered.pop(name + "weight")
    return layered | {name + "lora_A.default.weight": torch.zeros(2, 32)}


def with_frames_in_patches(tensors):
    return tensors | {"vision_model.embeddings.class_embedding": torch.zeros(4, 32)}


def with_too_few_layers(tensors):
    return {key: value for key, value in tensors.items() if ".layers.1." not in key}


def with_another_layer(tensors):
    return tensors | {"vision_model.encoder.layers.3.temporal_embedding": torch.zeros(1, 4, 32)}


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_low_rank_updates, "holds low-rank updates beside its weights"),
        (with_frames_in_patches, "`embeddings.class_embedding` is (4, 32) there, (32,) here"),
        (with_too_few_layers, "`encoder.layers.1.temporal_embedding` is missing there, (1, 4, 32) here"),
        (with_another_layer, "`encoder.layers.3.temporal_embedding` is (1, 4, 32) there, missing here"),
    ],
)
def test_weights_of_another_layout_are_refused_in_one_line(tmp_path, file, change, message):
    folder = save_folder(tmp_path, change(full_weights()), PUBLISHED, file=file)

    with pytest.raises(CheckpointError, match=re.escape(message)) as error:
        new(path=str(folder)).build()

    assert str(folder / file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("resize", ["naive", "crop", "letterbox"])
def test_frames_are_seen_as_languagebinds_own_processor_makes_them(resize, caplog):
    encoder = random_tower("languagebind-video", resize=resize)

    view = View(28, "crop", "bilinear", antialias=False)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    assert encoder.transform == ClipTransform(view, mean, std)
    assert ("ignores resize `letterbox`" in caplog.text) == (resize == "letterbox")


def test_every_variant_is_a_video_backbone_of_its_own_name():
    known = {name for name in VideoBackboneConfig.available() if name.startswith("languagebind")}

    assert known == set(GRIDS)
    assert [new(name).what for name in GRIDS] == [f"video backbone `{name}`" for name in GRIDS]
