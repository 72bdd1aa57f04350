from pathlib import Path

import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from merv.backbones.video import languagebind_tower
from merv.backbones.video.languagebind_tower import Tower, TowerConfig
from merv.errors import ConfigError

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "b_languagebind_tower.safetensors"
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 28,
    "num_frames": 4,
}


def build(**options):
    torch.manual_seed(0)
    tower = Tower(TowerConfig(**{**SMALL, **options})).eval().requires_grad_(False)
    for parameter in tower.parameters():  # norms and biases would hide what becomes of them
        parameter += 0.2 * torch.randn_like(parameter)
    return tower


def clips(frames=4, rows=2, size=28):
    return torch.randn(rows, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def recorded():
    if not GOLDEN.exists():
        pytest.skip("recorded tensors of the original are not beside this checkout")
    return load_file(GOLDEN)


def recorded_tower(recorded, num_layers):
    """A tower of `num_layers` layers, the last of them left out as ever, with the recorded weights."""
    width = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "image_size": 56}
    tower = Tower(TowerConfig(**width, num_hidden_layers=num_layers)).eval()
    weights = {key.removeprefix("param."): value for key, value in recorded.items() if key.startswith("param.")}
    tower.load_state_dict({key: weights[key] for key in tower.state_dict()}, strict=True)
    return tower


@torch.no_grad()
def test_features_are_the_recorded_second_to_last_hidden_states(recorded):
    tower = recorded_tower(recorded, 3)
    pixels = rearrange(recorded["in.pixel_values"], "b c t h w -> b t c h w")

    found, embedded = tower(pixels), tower.pre_layrnorm(tower.embeddings(pixels.flatten(0, 1)))

    assert_close(found, recorded["out.hidden_states_m2"], atol=1e-5, rtol=0)
    assert_close(embedded[None], recorded["out.hidden_states_0"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_with_the_last_layer_the_recorded_pooler_output_follows(recorded):
    tower = recorded_tower(recorded, 4)
    pixels = rearrange(recorded["in.pixel_values"], "b c t h w -> b t c h w")

    last = tower(pixels)[:, :, 0]

    weight, bias = recorded["param.post_layernorm.weight"], recorded["param.post_layernorm.bias"]
    pooled = nn.functional.layer_norm(last, (64,), weight, bias).mean(1)
    assert_close(pooled, recorded["out.pooler_output"], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_without_its_temporal_parts_the_tower_is_the_clip_of_transformers(activation):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    tower, pixels = build(hidden_act=activation), clips(8)
    for layer in tower.encoder.layers:
        for parameter in (layer.temporal_embedding, *layer.temporal_attn.out_proj.parameters()):
            parameter.zero_()
    plain = CLIPVisionModel(CLIPVisionConfig(**SMALL, patch_size=14, hidden_act=activation)).eval()
    own = {f"vision_model.{key}": value for key, value in tower.state_dict().items() if "temporal" not in key}
    missing, unexpected = plain.load_state_dict(own, strict=False)
    if unexpected:  # newer releases name the vision model's own parts directly
        missing, unexpected = plain.load_state_dict({k.partition(".")[2]: v for k, v in own.items()}, strict=False)

    found = tower(pixels)
    expected = plain(pixels.flatten(0, 1), output_hidden_states=True).hidden_states[-2]

    assert not unexpected
    assert all("layers.2." in key or "post_layernorm" in key or "position_ids" in key for key in missing)
    assert_close(found.flatten(0, 1), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_attention_over_time_is_torchs_multihead_attention_of_each_place():
    attention = build().encoder.layers[0].temporal_attn
    oracle = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    oracle.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    oracle.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    oracle.out_proj.load_state_dict(attention.out_proj.state_dict())
    x = torch.randn(10, 4, 32)

    found, expected = attention(x), oracle(x, x, x, need_weights=False)[0]

    assert_close(found, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_layer_adds_time_first_and_keeps_its_embedding_in_the_residual_stream():
    layer = build().encoder.layers[0]
    for part in (layer.temporal_attn.out_proj, layer.self_attn.out_proj, layer.mlp.fc2):
        part.weight.zero_()
        part.bias.zero_()
    x = torch.randn(2, 4, 5, 32)

    found = layer(x)

    assert_close(found, x + layer.temporal_embedding.view(1, 4, 1, 32))


@torch.no_grad()
def test_frames_attend_within_their_group_of_a_clip_only():
    tower, pixels = build(), clips(8)
    changed = pixels.clone()
    changed[0, 5] += 1

    moved = (tower(pixels) - tower(changed)).abs().amax((2, 3))

    assert (moved[0, 4:] > 1e-4).all()
    assert moved[0, :4].max() == 0
    assert moved[1].max() == 0


@torch.no_grad()
def test_a_long_clip_is_its_groups_one_by_one():
    tower, pixels = build(), clips(12)

    whole, parts = tower(pixels), [tower(part) for part in pixels.split(4, dim=1)]

    assert_close(whole, torch.cat(parts, dim=1), atol=1e-5, rtol=0)


@torch.no_grad()
def test_more_sequences_than_a_kernel_takes_go_in_several_calls(monkeypatch):
    tower, pixels = build(), clips()
    expected = tower(pixels)

    monkeypatch.setattr(languagebind_tower, "MAX_ROWS", 3)

    assert_close(tower(pixels), expected, atol=1e-5, rtol=0)


def test_the_last_layer_and_its_norm_are_not_allocated():
    with torch.device("meta"):
        tower = Tower(TowerConfig())

    layer = 2 * 4 * (1024**2 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 3 * 2 * 1024 + 8 * 1024
    embedded = 1024 + 3 * 14 * 14 * 1024 + 257 * 1024 + 2 * 1024
    assert len(tower.encoder.layers) == 23
    assert sum(parameter.numel() for parameter in tower.parameters()) == 23 * layer + embedded


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 30}, "hidden_size 30 does not split into 4 attention heads"),
        ({"image_size": 30}, "patches of 14 px do not tile frames of 30 px"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; choose gelu | quick_gelu"),
        ({"num_hidden_layers": 1}, "num_hidden_layers is 1; give a whole number, at least 2"),
        ({"num_frames": 1}, "num_frames is 1; give a whole number, at least 2"),
        ({"patch_size": "14"}, "patch_size is '14'; give a whole number, at least 1"),
    ],
)
def test_numbers_no_tower_can_have_are_refused(options, message):
    with pytest.raises(ConfigError) as error:
        TowerConfig(**{**SMALL, **options})

    assert message in str(error.value)
