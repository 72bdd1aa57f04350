import pytest

from merv.errors import ConfigError
from merv.models.fusion import FusionConfig
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.projectors import ProjectorConfig

from .rows import tiny_config


@pytest.mark.parametrize(
    ("strategy", "view"),
    [("resize-naive", "naive"), ("resize-crop", "crop"), ("letterbox", "letterbox")],
)
def test_resize_strategy_reaches_every_encoder(strategy, view):
    configs = tiny_config(image_resize_strategy=strategy).backbone_configs()

    assert {config.resize for config in configs} == {view}


def test_options_reach_the_encoder_and_the_llm_they_name():
    config = tiny_config(
        backbone_options={"tiny-motion": {"dim": 64, "depth": 2}}, llm_options={"num_layers": 1}, llm_max_length=99
    )

    assert [(c.dim, c.depth, c.num_frames) for c in config.backbone_configs()] == [(96, 1, 4), (96, 1, 8), (64, 2, 8)]
    assert (config.llm_config().num_layers, config.llm_config().max_length) == (1, 99)


MISTAKES = {
    "unknown encoder": ({"video_backbone_ids": ["tiny-frame"] * 3}, "did you mean `tiny-frames`"),
    "unknown llm": ({"llm_backbone_id": "tiny-lama"}, "unknown LLM backbone `tiny-lama`; did you mean `tiny-llama`"),
    "unknown encoder option": (
        {"backbone_options": {"tiny-motion": {"dept": 2}}},
        "`tiny-motion` has no option `dept`; did you mean `depth`",
    ),
    "unknown llm option": (
        {"llm_options": {"num_layer": 2}},
        "`tiny-llama` has no option `num_layer`; did you mean `num_layers`",
    ),
    "options of an absent encoder": (
        {"backbone_options": {"tiny": {"depth": 2}}},
        "backbone_options names tiny, which video_backbone_ids does not; it has tiny-frames, tiny-coarse, tiny-motion",
    ),
    "no encoder": ({"video_backbone_ids": [], "num_frames": []}, "video_backbone_ids is empty"),
    "lists of other length": ({"num_frames": [4, 8]}, "names 3 encoders, num_frames has 2 numbers"),
    "no frames": ({"num_frames": [4, 8, 0]}, "num_frames is 0; an encoder needs at least 1 frame"),
    "half a tubelet": ({"num_frames": [4, 8, 7]}, "do not tile 7 frames"),
    "tokens that do not divide": ({"visual_feature_length": 18}, "18 is not a multiple of projector_token_length 4"),
    "tokens that are no square": (
        {"projector_token_length": 5, "visual_feature_length": 20},
        "cannot pool encoder grid .* to 5 tokens a frame",
    ),
    "more time steps than an encoder gives": (
        {"visual_feature_length": 32},
        "cannot pool encoder grid 4 x .* to 8 frames",
    ),
    "encoders that do not agree": (
        {"projector": ProjectorConfig.new("linear")},
        r"the encoders give \[.*\] tokens, but they have to agree",
    ),
    "no room for text": (
        {"llm_max_length": 20},
        r"llm_max_length is 20, of which 16 are visual tokens; .* at least 24",
    ),
    "a row shorter than anything": ({"llm_max_length": 5}, "max_length is 5 tokens; it must be at least 8"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_config_is_one_clear_line(mistake):
    options, message = MISTAKES[mistake]

    with pytest.raises(ConfigError, match=message) as caught:
        tiny_config(**options).build()

    assert "\n" not in str(caught.value)


def test_defaults_of_the_class_fit_one_another():
    fusion = FusionConfig.new("cross_attention", embed_dim=16)  # the default is 3072 wide and takes its time
    config = MultiEncoderConfig(projector_token_length=4, visual_feature_length=32, fusion=fusion)

    assert config.build().visual_tokens() == 32


def test_frames_have_one_place():
    with pytest.raises(ConfigError, match=r"backbone_options\.tiny-frames\.num_frames: set .* in num_frames"):
        MultiEncoderConfig(backbone_options={"tiny-frames": {"num_frames": 4}})


def test_the_original_s_prompts_are_refused_for_an_llm_it_does_not_have():
    config = tiny_config(protocol="reference")

    with pytest.raises(ConfigError, match=r"protocol `reference`: .*`tiny-llama`"):
        config.llm_config()


def test_of_two_folders_for_an_encoder_the_one_with_the_fuller_name_counts(tmp_path):
    paths = {"dinov2": tmp_path / "a", "dinov2-video-all-tokens": tmp_path / "b"}
    config = MultiEncoderConfig(video_backbone_ids=["dinov2-video-all-tokens"], video_backbone_paths=paths)

    assert config.backbone_configs()[0].path == tmp_path / "b"
