import json
from pathlib import Path

import draccus
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.backbones.video.vivit import VivitConfig
from merv.backbones.weights import empty_parameters
from merv.errors import CheckpointError, ConfigError
from merv.testing import check_video_backbone

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
    "num_frames": 8,
}
GRIDS = {
    "vivit-google-b-all-no-cls-16frames": FeatureGrid(16, 14, 14, 768),
    "vivit-google-b-all-no-cls": FeatureGrid(8, 14, 14, 768),
    "vivit-google-b-all-tokens": FeatureGrid(1, 1, 3137, 768),
    "vivit-google-b-classemb-at-first-16frames": FeatureGrid(1, 1, 3137, 768),
    "vivit-google-b-cls-token": FeatureGrid(1, 1, 1, 768),
}
PATCHES = "vivit-google-b-all-no-cls-16frames"
ALL = "vivit-google-b-all-tokens"


def small(name=PATCHES, **options):
    return VivitConfig.new(name, **{"init": "random", "num_frames": 8, "model_args": SMALL, **options})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A small model as transformers writes it, and the folder: keys `vivit.encoder.layer...`, and a classifier's."""
    from transformers import VivitConfig, VivitForVideoClassification

    torch.manual_seed(0)
    model = VivitForVideoClassification(VivitConfig(**SMALL)).eval()
    torch.nn.init.normal_(model.vivit.embeddings.position_embeddings)
    folder = tmp_path_factory.mktemp("vivit")
    model.save_pretrained(folder)
    return folder, model.vivit


def lay_out(published, folder, layout):
    """The same weights in another layout of the wild."""
    state = load_file(published[0] / "model.safetensors")
    assert "vivit.encoder.layer.1.attention.attention.query.weight" in state
    (folder / "config.json").write_text((published[0] / "config.json").read_text())
    if layout == "classifier.bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif layout == "bare":
        kept = {key.removeprefix("vivit."): value for key, value in state.items() if key.startswith("vivit.")}
        save_file(kept | {"pooler.dense.bias": torch.zeros(24)}, folder / "model.safetensors")
    elif layout == "new names":
        save_file(published[1].state_dict(), folder / "model.safetensors")
    else:
        save_file(state, folder / "model.safetensors")
    return folder


def clip(rows=2):
    return torch.randn(rows, 8, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layout", ["classifier", "classifier.bin", "bare", "new names"])
def test_published_layouts_give_the_states_of_transformers(published, tmp_path, layout):
    folder = lay_out(published, tmp_path, layout)

    encoder = VivitConfig.new(ALL, path=folder, num_frames=8).build().eval()

    with torch.no_grad():
        found, expected = encoder(clip()), published[1](clip()).last_hidden_state
    assert_close(found[:, 0], expected)
    assert encoder.model.config.hidden_act == "gelu_fast"
    assert encoder.model.config._attn_implementation == "sdpa"


def test_tokens_are_parts_of_the_same_states(published):
    names = ["all-tokens", "cls-token", "all-no-cls-16frames", "all-no-cls"]

    with torch.no_grad():
        states, cls, patches, halved = (
            VivitConfig.new(f"vivit-google-b-{name}", path=published[0], num_frames=8).build().eval()(clip())
            for name in names
        )

    assert states.shape == (2, 1, 17, 24)
    assert_close(cls, states[:, :, :1])
    assert_close(patches, states[:, 0, 1:].view(2, 4, 4, 24))
    assert_close(halved, patches[:, [0, 2]])


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the recorded tensors of the original")
@pytest.mark.parametrize(("case", "name", "zoom"), [("b_vivit_featurizer", ALL, 1), ("b_vivit_wrapper", PATCHES, 16)])
def test_features_are_those_of_the_recorded_reference(tmp_path, case, name, zoom):
    golden = load_file(GOLDEN / f"{case}.safetensors")
    facts = json.loads((GOLDEN / f"{case}.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts["constructor_args"]))
    state = {key.removeprefix("param."): tensor for key, tensor in golden.items() if key.startswith("param.")}
    save_file(state, tmp_path / "model.safetensors")
    pixels = golden["in.video"] if zoom == 1 else golden["in.video_u8"][None] / 127.5 - 1
    pixels = pixels.repeat_interleave(zoom, -1).repeat_interleave(zoom, -2)

    encoder = VivitConfig.new(name, path=tmp_path, num_frames=pixels.shape[1]).build().eval()

    with torch.no_grad():
        found = encoder(pixels).flatten(1, 2)
    expected = golden["out.last_hidden_state"] if zoom == 1 else golden["out.all-no-cls-16frames_every4"]
    assert_close(found if zoom == 1 else found[:, ::4], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", GRIDS)
def test_a_small_vivit_keeps_the_contract(name):
    check_video_backbone(small(name, resize="crop"))


@pytest.mark.parametrize(("name", "grid"), GRIDS.items())
def test_published_sizes(name, grid):
    with empty_parameters():
        encoder = VivitConfig.new(name, init="random").build()

    assert sum(parameter.numel() for parameter in encoder.parameters()) == 88_646_400
    assert encoder.grid == grid
    assert len(encoder.blocks()) == 12
    assert encoder.num_frames == 32


def test_steps_that_do_not_divide_keep_the_first_of_each_group():
    encoder = small(tubelet_step=3).build().eval()

    assert encoder.grid == FeatureGrid(2, 2, 2, 24)
    assert encoder(clip()).shape == (2, 2, 4, 24)


@pytest.mark.parametrize("name", GRIDS)
def test_a_config_comes_back_from_its_encoding(name):
    config = VivitConfig.new(name, model_args={"tubelet_size": [2, 8, 8], "layer_norm_eps": 1e-5})

    assert draccus.decode(VideoBackboneConfig, draccus.encode(config, VideoBackboneConfig)) == config


@pytest.mark.parametrize(
    ("resize", "name"),
    [("naive", "naive-bilinear"), ("crop", "crop-bilinear-of256"), ("letterbox", "letterbox-bilinear-7f7f7f")],
)
def test_pixels_are_prepared_as_in_the_reference(resize, name):
    with empty_parameters():
        transform = VivitConfig.new(ALL, init="random", resize=resize).build().transform

    assert transform.view.name == f"224-{name}"
    assert (transform.mean, transform.std) == ((0.5,) * 3, (0.5,) * 3)


def test_statistics_beside_the_weights_rule(published, tmp_path):
    folder = lay_out(published, tmp_path, "classifier")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [1] * 3}))

    transform = VivitConfig.new(ALL, path=folder, num_frames=8, resize="letterbox").build().transform

    assert (transform.mean, transform.std) == ((0.1, 0.2, 0.3), (1, 1, 1))
    assert transform.view.fill == (25, 51, 76)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 16}, rf"`{PATCHES}`: num_frames is 16, its position embeddings are made for 8; set .* to 8"),
        ({"model_args": {"hidden": 3}}, "model_args has no `hidden`; did you mean `hidden_act`"),
        ({"model_args": {"image_size": [32, 48]}}, r"image_size is \[32, 48\]; frames have to be square"),
        ({"tubelet_step": 0}, "tubelet_step is 0 with tokens `patches`"),
        ({"tubelet_step": 2, "tokens": "all"}, "tubelet_step is 2 with tokens `all`; give 1, or more with patches"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        small(**options).build()

    assert "\n" not in str(caught.value)


def test_frames_are_held_against_the_config_beside_the_weights(published):
    with pytest.raises(ConfigError, match="num_frames is 32, its position embeddings are made for 8"):
        VivitConfig.new(ALL, path=published[0]).build()


def test_weights_of_another_size_are_refused(published, tmp_path):
    folder = lay_out(published, tmp_path, "classifier")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))

    with pytest.raises(CheckpointError, match=r"`layers.0.mlp.fc1.weight` is \(48, 24\) there, \(64, 24\) here"):
        VivitConfig.new(ALL, path=folder, num_frames=8).build()
