from dataclasses import dataclass

import pytest
import torch
from torch import nn

from merv.backbones.video.base import FeatureGrid, VideoBackbone, VideoBackboneConfig
from merv.models.fusion import Fused, Fusion, FusionConfig
from merv.models.projectors import ProjectorConfig
from merv.testing import check_fusion, check_projector, check_video_backbone
from merv.video.transforms import ClipTransform, View

OWN = [name for name in VideoBackboneConfig.available() if not VideoBackboneConfig.get(name).pretrained]


@dataclass
class ToyConfig(VideoBackboneConfig):
    """Builds whatever encoder the test put into `made`."""

    made = None

    def build(self):
        return type(self).made(self)


class Toy(VideoBackbone):
    """Keeps the contract; the tests break it in one place each."""

    framewise = True

    def __init__(self, config):
        super().__init__()
        self.num_frames = config.num_frames
        self.grid = FeatureGrid(config.num_frames, 4, 4, 8)
        self.transform = ClipTransform(View(16, config.resize), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.layers = nn.ModuleList([nn.Linear(8, 8)])

    def forward(self, pixels):
        patches = self.patches(pixels.flatten(0, 1)).flatten(2).mT
        return self.layers[0](patches).unflatten(0, pixels.shape[:2])

    def blocks(self):
        return list(self.layers)


class WrongGrid(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.grid = FeatureGrid(config.num_frames, 4, 4, 9)


class OwnFrameCount(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.num_frames = 5


class OwnResize(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.transform = ClipTransform(View(16, "crop"), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class MixesRows(Toy):
    def forward(self, pixels):
        return super().forward(pixels) - super().forward(pixels).mean(0)


class MixesFrames(Toy):
    def forward(self, pixels):
        return super().forward(pixels) - super().forward(pixels).mean(1, keepdim=True)


class FixedFrames(Toy):
    def forward(self, pixels):
        return super().forward(pixels)[:, : self.num_frames]


class UnusedParameter(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.head = nn.Linear(8, 2)


class NoGradient(Toy):
    @torch.no_grad()
    def forward(self, pixels):
        return super().forward(pixels)


class ForeignBlock(Toy):
    def blocks(self):
        return [nn.Linear(8, 8)]


class NestedBlocks(Toy):
    def blocks(self):
        return [self.layers, *self.layers]


class IdleBlock(Toy):
    def forward(self, pixels):
        patches = self.patches(pixels.flatten(0, 1)).flatten(2).mT
        layer = self.layers[0]
        return nn.functional.linear(patches, layer.weight, layer.bias).unflatten(0, pixels.shape[:2])


class RememberedBlocks(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.remembered = (self.layers[0],)

    def blocks(self):
        return list(self.remembered)


class HiddenState(Toy):
    def __init__(self, config):
        super().__init__(config)
        self.scale = float(torch.rand(()))

    def forward(self, pixels):
        return super().forward(pixels) * self.scale


class Draws(Toy):
    def forward(self, pixels):
        return nn.functional.dropout(super().forward(pixels))


class Overflows(Toy):
    def forward(self, pixels):
        features = super().forward(pixels)
        return features / 0 if features.dtype == torch.bfloat16 else features


@pytest.fixture
def registered():
    """Registers toys for one test."""
    VideoBackboneConfig.register_subclass("toy", ToyConfig)
    yield
    VideoBackboneConfig._choice_registry.pop("toy")
    ToyConfig.made = None


@pytest.mark.parametrize("name", OWN)
def test_own_encoders_fulfil_the_contract(name):
    check_video_backbone(name)


@pytest.mark.parametrize("name", OWN)
def test_own_encoders_fulfil_the_contract_with_other_options(name):
    check_video_backbone(VideoBackboneConfig.get(name)(num_frames=6, resize="letterbox", dim=32, depth=2))


@pytest.mark.usefixtures("registered")
def test_an_encoder_that_keeps_the_contract_passes():
    ToyConfig.made = Toy

    check_video_backbone("toy")
    check_video_backbone(ToyConfig(num_frames=3, resize="crop"))


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongGrid, r"gives \(3, 8, 16, 8\), its grid declares \(3, 8, 16, 9\)"),
        (OwnFrameCount, "num_frames is 5, its config says 8"),
        (OwnResize, "resized `crop`, the config says `naive`"),
        (Draws, "two passes differ in evaluation mode"),
        (MixesRows, "row 0 differs by .* alone and in a batch"),
        (MixesFrames, "a frame's features differ by .* it is not framewise"),
        (FixedFrames, r"with 24 frames: gives \(8, 16, 8\), its grid \(framewise"),
        (UnusedParameter, r"no gradient reaches head.weight, head.bias \(2 in all\)"),
        (NoGradient, "no gradient reaches patches.weight"),
        (ForeignBlock, r"blocks \[0\] are no submodules"),
        (NestedBlocks, r"blocks\(\) has 0 twice and 1 inside others"),
        (IdleBlock, r"blocks \[0\] do not run in forward"),
        (RememberedBlocks, r"blocks\(\) gives \[0\] as they were before its modules were wrapped"),
        (HiddenState, "with the same state dict it gives other results"),
        (Overflows, "under bfloat16 autocast: gives values that are not finite"),
    ],
)
def test_a_broken_encoder_is_told_what_is_wrong_in_one_line(broken, message):
    ToyConfig.made = broken

    with pytest.raises(AssertionError, match=message) as caught:
        check_video_backbone("toy")

    assert str(caught.value).startswith("encoder `toy`")
    assert "\n" not in str(caught.value)


def test_an_unregistered_config_is_refused():
    with pytest.raises(AssertionError, match="ToyConfig is not registered; decorate it with @VideoBackboneConfig"):
        check_video_backbone(ToyConfig())


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("frames", "message"), [("8", r"comes back from YAML as .*num_frames=8,"), (8.5, "does not come back from YAML")]
)
def test_a_config_that_yaml_does_not_keep_is_refused(monkeypatch, frames, message):
    monkeypatch.setattr(VideoBackboneConfig, "__post_init__", lambda self: None)

    with pytest.raises(AssertionError, match=f"ToyConfig {message}"):
        check_video_backbone(ToyConfig(num_frames=frames))


@pytest.mark.parametrize("name", ProjectorConfig.available())
def test_own_projectors_fulfil_the_contract(name):
    check_projector(name)


@pytest.mark.parametrize("name", FusionConfig.available())
def test_own_fusions_fulfil_the_contract(name):
    options = {"embed_dim": 16} if name == "cross_attention" else {}

    check_fusion(FusionConfig.get(name)(**options))


def test_projectors_that_declare_other_sizes_than_they_give_are_refused(monkeypatch):
    linear = ProjectorConfig.get("linear")
    build = linear.build

    def build_wrongly(self, *args, **options):
        projector = build(self, *args, **options)
        projector.num_tokens += 1
        return projector

    monkeypatch.setattr(linear, "build", build_wrongly)

    with pytest.raises(
        AssertionError, match=r"projector `linear`: gives \(3, 64, 24\), its num_tokens .* \(3, 65, 24\)"
    ):
        check_projector("linear")


class Forgetful(Fusion):
    """The first encoder's tokens, without a thought for the others' gradients."""

    num_tokens = 6

    def __init__(self, share):
        super().__init__()
        self.share = share

    def forward(self, features):
        weights = None if self.share is None else torch.full((len(features[0]), len(features)), self.share)
        return Fused(features[0], weights)


@pytest.mark.parametrize(
    ("share", "message"),
    [(None, r"no gradient for encoders \[1, 2\]"), (0.5, r"weights of a row sum to \[1\.5, 1\.5, 1\.5\]")],
)
def test_fusions_that_break_the_contract_are_refused(monkeypatch, share, message):
    monkeypatch.setattr(FusionConfig.get("first"), "build", lambda self, num_tokens, dim: Forgetful(share))

    with pytest.raises(AssertionError, match=f"fusion `first`: {message}"):
        check_fusion("first")
