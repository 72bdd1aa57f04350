import math
from pathlib import Path

import draccus
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid
from merv.errors import ConfigError
from merv.models.projectors import ProjectorConfig

from .recorded import CASES, recorded_run

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "parts"
GRID = FeatureGrid(frames=4, height=4, width=4, dim=24)
OUT_DIM = 20

RECORDED = {
    "a_linear": ("linear", {}, (1, 1)),
    "a_mlp": ("mlp", {"pre_layernorm": True}, (1, 1)),
    "a_mlp_deep": ("mlp-deep", {}, (1, 1)),
    "a_fused_mlp": ("fused-mlp", {}, (1, 1)),
    "a_avgpool2d": ("avg2d", {}, (4, 4)),
    "a_avgpool3d_linear_keep": ("avg3d", {}, (9, 4)),
    "a_avgpool3d_linear_pool": ("avg3d", {}, (4, 2)),
    "a_avgpool3d_gelu_keep": ("avg3d", {"mlp": "gelu-mlp"}, (4, 4)),
    "a_avgpool3d_gelu_pool": ("avg3d", {"mlp": "gelu-mlp"}, (4, 2)),
    "a_conv2d": ("conv2d", {"depth": 3}, (4, 4)),
    "a_conv3d": ("conv3d", {}, (4, 2)),
    "a_attnpool": ("attentive", {}, (4, 4)),
}
"""Golden case -> registered name, options, (tokens a frame, output frames)."""

WITH_FRAME_POOLING = ["avg3d", "conv3d"]
WITH_SQUARES = ["avg2d", "avg3d", "conv2d", "conv3d"]
FRAME_KEEPING = ["avg2d", "conv2d", "attentive"]


def build(name, grid=GRID, *, tokens=4, frames=None, out_dim=OUT_DIM, **options):
    config = ProjectorConfig.get(name)(**options)
    return config.build(grid, out_dim, tokens_per_frame=tokens, output_frames=frames or grid.frames)


def features(grid=GRID, batch_size=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch_size, grid.frames, grid.tokens_per_frame, grid.dim, generator=generator)


def parameters(tensors):
    return {key.removeprefix("param."): value for key, value in tensors.items() if key.startswith("param.")}


@pytest.mark.parametrize("case", RECORDED)
def test_recorded_weights_load_strictly_and_give_recorded_tokens(case):
    name, options, (tokens, frames) = RECORDED[case]
    recorded = load_file(GOLDEN / f"{case}.safetensors")
    x, expected = recorded["in.x"], recorded["out.y"]
    projector = build(name, tokens=tokens, frames=frames, **options).eval()

    projector.load_state_dict(parameters(recorded), strict=True)

    # Projectors without pooling were recorded with the frame axis; ours gives tokens frame after frame.
    assert_close(projector(x), expected.reshape(len(x), -1, OUT_DIM), atol=1e-5, rtol=0)


def test_every_recorded_projector_is_compared():
    fusions = ("concat", "scalar", "xattn")
    cases = {
        path.stem
        for path in GOLDEN.glob("a_*.safetensors")
        if not path.stem.startswith(tuple(f"a_{f}" for f in fusions))
    }

    assert cases == set(RECORDED)


@pytest.mark.parametrize("case", CASES)
def test_published_run_gives_recorded_projected_tokens(case):
    recorded = recorded_run(case)
    rows = recorded.tensors["in.multimodal_indices"]
    compared = 0

    for index in [i for i in range(recorded.num_encoders) if f"mid.features_{i}" in recorded.tensors]:
        x = recorded.features(index)[rows]
        side = math.isqrt(x.shape[2])
        projector = build("avg3d", FeatureGrid(8, side, side, x.shape[-1]), tokens=4, out_dim=64)
        projector.load_state_dict(recorded.weights_of("projectors", f"{index}."), strict=True)
        assert_close(projector(x), recorded.projected(index), atol=1e-5, rtol=0)
        compared += 1

    assert compared > 0


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_projector_gives_the_tokens_it_declares(name):
    projector = build(name)

    tokens = projector(features())

    assert tokens.shape == (2, projector.num_tokens, OUT_DIM)


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_gradients_reach_every_parameter(name):
    projector = build(name)

    projector(features()).square().sum().backward()

    without = [key for key, p in projector.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_bfloat16_autocast_gives_finite_tokens_and_gradients(name):
    projector = build(name)

    with torch.autocast("cpu", torch.bfloat16):
        projector(features().bfloat16()).float().square().sum().backward()

    assert all(p.grad.isfinite().all() for p in projector.parameters())


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_config_survives_encode_and_decode(name):
    config = ProjectorConfig.get(name)()
    for option, value in {"mlp": "gelu-mlp", "tokens_per_frame": 9, "output_frames": 3, "pre_layernorm": True}.items():
        if hasattr(config, option):
            setattr(config, option, value)

    tree = draccus.encode(config, ProjectorConfig)

    assert tree["type"] == name
    assert draccus.decode(ProjectorConfig, tree) == config


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_state_dict_makes_a_second_projector_equal(name):
    torch.manual_seed(1)
    first, second = build(name).eval(), build(name).eval()

    second.load_state_dict(first.state_dict(), strict=True)

    assert_close(first(features()), second(features()), atol=0, rtol=0)


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_same_seed_makes_the_same_weights(name):
    torch.manual_seed(3)
    first = build(name).state_dict()
    torch.manual_seed(3)
    second = build(name).state_dict()

    assert_close(first, second, atol=0, rtol=0)


@pytest.mark.parametrize("name", WITH_SQUARES)
def test_tokens_are_frame_after_frame(name):
    projector = build(name).eval()
    x = features()
    changed = x.clone()
    changed[:, -1] += 1.0

    same = (projector(x) - projector(changed)).abs().amax((0, 2)) == 0

    # A 3 x 3 x 3 convolution carries the last frame into the one before it.
    touched = 8 if name == "conv3d" else 4
    assert same.tolist() == [True] * (16 - touched) + [False] * touched


def test_own_sizes_win_over_shared_ones():
    projector = build("avg3d", tokens=4, frames=4, tokens_per_frame=1, output_frames=1)

    assert projector.num_tokens == 1
    assert projector(features()).shape == (2, 1, OUT_DIM)


def test_grid_may_be_wider_than_high():
    grid = FeatureGrid(frames=2, height=2, width=5, dim=24)
    projector = build("avg3d", grid, tokens=4)

    assert projector(features(grid)).shape == (2, 8, OUT_DIM)


def test_attentive_may_ask_more_queries_than_the_frame_has_tokens():
    projector = build("attentive", tokens=17)

    assert projector(features()).shape == (2, 4 * 17, OUT_DIM)


def window_means(x, size):
    """Means over windows floor(i * n / m) .. ceil((i + 1) * n / m), written out.  (T, H, W) -> size."""
    out = torch.empty(size, dtype=x.dtype)
    for cell in torch.cartesian_prod(*map(torch.arange, size)).reshape(-1, 3).tolist():
        window = [slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(cell, x.shape, size, strict=True)]
        out[tuple(cell)] = x[tuple(window)].mean()
    return out


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_average_windows_are_right_where_sizes_do_not_divide(data):
    frames, height, width = (data.draw(st.integers(least, 7)) for least in (1, 2, 1))
    output_frames = data.draw(st.integers(1, frames))
    side = data.draw(st.integers(1, min(height, width)))
    grid = FeatureGrid(frames, height, width, dim=1)
    projector = ProjectorConfig.get("avg3d")().build(grid, 1, tokens_per_frame=side**2, output_frames=output_frames)
    projector.load_state_dict(
        {"projector.projector.weight": torch.ones(1, 1), "projector.projector.bias": torch.zeros(1)}
    )
    x = torch.rand(frames, height, width)

    tokens = projector(x.reshape(1, frames, -1, 1))

    assert_close(tokens.flatten(), window_means(x, (output_frames, side, side)).flatten(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", WITH_SQUARES)
@pytest.mark.parametrize("tokens", [8, 24])
def test_tokens_that_form_no_square_are_refused(name, tokens):
    expected = rf"`{name}` cannot pool encoder grid 4 x 4 x 4 x 24 .* to {tokens} tokens a frame; set .* up to 16$"
    with pytest.raises(ConfigError, match=expected):
        build(name, tokens=tokens)


@pytest.mark.parametrize("name", WITH_SQUARES)
def test_more_tokens_than_places_repeat_some_and_are_reported(name, caplog):
    projector = build(name, tokens=25)

    assert projector.num_tokens == 4 * 25
    assert projector(torch.rand(1, 4, 16, 24)).shape[1] == 4 * 25
    assert "25 tokens a frame of 16 places; some are repeated" in caplog.text


@pytest.mark.parametrize("name", WITH_SQUARES)
def test_tokens_that_are_no_places_cannot_be_pooled(name):
    row = FeatureGrid(4, 1, 17, 24)

    with pytest.raises(ConfigError, match=rf"`{name}` cannot pool encoder grid 4 x 1 x 17 x 24 .* no places"):
        ProjectorConfig.get(name)().build(row, 20, tokens_per_frame=4, output_frames=4)


@pytest.mark.parametrize("name", [*WITH_SQUARES, "attentive"])
def test_a_frame_without_tokens_is_refused(name):
    with pytest.raises(ConfigError, match=rf"`{name}`: tokens_per_frame is 0; a frame needs at least 1 token"):
        build(name, tokens_per_frame=0)


@pytest.mark.parametrize("name", WITH_FRAME_POOLING)
@pytest.mark.parametrize("frames", [5, 0])
def test_frames_that_cannot_be_pooled_are_refused(name, frames):
    with pytest.raises(
        ConfigError, match=rf"`{name}` cannot pool encoder grid 4 x 4 x 4 .* to {frames} frames; .* 1\.\.4$"
    ):
        build(name, output_frames=frames)


@pytest.mark.parametrize("name", FRAME_KEEPING)
def test_frame_keeping_projectors_refuse_another_number_of_frames(name):
    with pytest.raises(
        ConfigError, match=rf"`{name}` keeps all frames of encoder grid 4 x 4 x 4 .* asks for 2; .* avg3d"
    ):
        build(name, frames=2)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(
        ConfigError, match=r"num_heads 5 does not divide the width .* x 24 .*; set num_heads to a divisor of 24"
    ):
        build("attentive", num_heads=5)


def test_conv2d_without_blocks_is_refused():
    with pytest.raises(ConfigError, match=r"`conv2d`: depth is 0; it needs at least 1 block"):
        build("conv2d", depth=0)
