import pytest
import torch
from torch.testing import assert_close

from merv.backbones.video.base import FeatureGrid, VideoBackboneConfig
from merv.errors import ConfigError
from merv.testing import check_video_backbone

TINY = ["tiny-frames", "tiny-coarse", "tiny-motion"]


def build(name, seed=0, **options):
    torch.manual_seed(seed)
    return VideoBackboneConfig.new(name, **options).build().eval()


def clips(frames, rows=2, size=32):
    return torch.randn(rows, frames, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "options", "grid", "framewise"),
    [
        ("tiny-frames", {}, FeatureGrid(8, 8, 8, 96), True),
        ("tiny-frames", {"num_frames": 4, "image_size": 16, "dim": 32}, FeatureGrid(4, 4, 4, 32), True),
        ("tiny-coarse", {}, FeatureGrid(8, 4, 4, 96), True),
        ("tiny-motion", {}, FeatureGrid(4, 8, 8, 96), False),
        ("tiny-motion", {"num_frames": 12, "tubelet": 3}, FeatureGrid(4, 8, 8, 96), False),
        ("tiny-frames", {"tubelet": 2}, FeatureGrid(4, 8, 8, 96), False),
        ("tiny-frames", {"temporal": True}, FeatureGrid(8, 8, 8, 96), False),
    ],
)
def test_options_decide_the_grid(name, options, grid, framewise):
    encoder = build(name, **options)

    assert encoder.grid == grid
    assert encoder.framewise == framewise
    check_video_backbone(VideoBackboneConfig.new(name, **options))


@pytest.mark.parametrize("name", TINY)
def test_the_order_of_frames_matters_to_temporal_encoders_only(name):
    encoder, x = build(name), clips(8)

    with torch.no_grad():
        forward, backward = encoder(x), encoder(x.flip(1)).flip(1)

    assert torch.allclose(forward, backward, atol=1e-5) == encoder.framewise


def test_a_frame_of_a_temporal_encoder_reaches_every_time_step():
    encoder, x = build("tiny-motion"), clips(8)
    changed = x.clone()
    changed[:, 0] += 1

    with torch.no_grad():
        moved = (encoder(x) - encoder(changed)).abs().amax((0, 2, 3))

    assert (moved > 1e-4).all()


@pytest.mark.parametrize("name", TINY)
def test_the_same_generator_makes_the_same_weights(name):
    first, second, other = build(name), build(name), build(name, seed=1)

    assert_close(first.state_dict(), second.state_dict(), atol=0, rtol=0)
    assert not torch.equal(first(clips(8)), other(clips(8)))


def test_tokens_of_a_grid_are_its_places():
    assert FeatureGrid(frames=2, height=3, width=5, dim=7).tokens_per_frame == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0; an encoder needs at least 1 frame"),
        ({"image_size": 30}, "do not tile 8 frames of 30 px; choose divisors"),
        ({"num_frames": 7, "tubelet": 2}, "patches of 2 frames x 4 px do not tile 7 frames"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"resize": "stretch"}, "resize is `stretch`; choose naive | crop | letterbox"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        VideoBackboneConfig.new("tiny-frames", **options).build()
