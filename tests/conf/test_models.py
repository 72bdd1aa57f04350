"""The published sizes, laid out without memory for the weights."""

import dataclasses

import pytest

import merv.conf.models  # noqa: F401 - registers the presets
from merv.backbones.weights import empty_parameters
from merv.models.base import ModelConfig
from merv.models.freeze import set_stage

ENCODERS = {
    "languagebind": (387_380_224, 16),
    "dinov2": (290_630_656, 16),
    "vivit": (88_646_400, 16),
    "siglip": (78_707_712, 16),
}
"""Parameters of what is used of each encoder, and its time steps; the layers behind are not built."""
LLM = 6_738_415_616 + 64 * 4096 * 2
"""Llama-2-7B with a padding token: 64 more rows of embeddings and head."""
PROJECTORS = sum(width * 4096 + 4096 for width in (1024, 1024, 768, 768))
FUSION = 3072 + 3072 * 3072 + 3072 * 4096 + 3 * 3072
"""Query, its matrix and that of the encoders, biases; value and output matrices never learn and are no parameters."""


@pytest.fixture(scope="module")
def merv_base():
    with empty_parameters():
        return dataclasses.replace(ModelConfig.new("merv-base"), init="random").build()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_merv_base_has_its_published_size(merv_base):
    assert {name: count(part) for name, part in merv_base.parts().items()} == {
        "video_backbones": sum(size for size, _ in ENCODERS.values()),
        "projectors": PROJECTORS,
        "fusion": FUSION,
        "llm": LLM,
    }
    assert [count(encoder) for encoder in merv_base.video_backbones] == [size for size, _ in ENCODERS.values()]
    assert [encoder.grid.frames for encoder in merv_base.video_backbones] == [steps for _, steps in ENCODERS.values()]
    assert merv_base.visual_tokens() == 1024
    assert merv_base.processor.num_frames == 32
    assert all(parameter.is_meta for parameter in merv_base.parameters())


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        ("align", PROJECTORS + FUSION),
        ("finetune", PROJECTORS + FUSION + LLM),
        ("full-align", PROJECTORS + FUSION + LLM),
        ("full-finetune", PROJECTORS + FUSION + LLM + sum(size for size, _ in ENCODERS.values())),
    ],
)
def test_each_stage_trains_what_the_paper_trains(merv_base, stage, trained):
    set_stage(merv_base, stage, merv_base.config.stage(stage))

    assert sum(parameter.numel() for parameter in merv_base.parameters() if parameter.requires_grad) == trained


@pytest.mark.parametrize(
    ("name", "frames", "steps"),
    [("languagebind", 16, 16), ("dinov2", 16, 16), ("vivit", 32, 16), ("siglip", 16, 16), ("hiera", 32, 16)],
)
def test_single_encoder_models_give_as_many_visual_tokens_as_merv_base(name, frames, steps):
    config = dataclasses.replace(ModelConfig.new(f"{name}-single"), init="random", llm_backbone_id="tiny-llama")

    with empty_parameters():
        model = config.build()

    assert config.num_frames == [frames]
    assert model.video_backbones[0].grid.frames == steps
    assert model.visual_tokens() == 1024


def test_merv_full_aligns_all_shards_at_a_tenth_of_the_rate():
    base, full = ModelConfig.new("merv-base"), ModelConfig.new("merv-full")

    assert (base.align.learning_rate, base.align.train_strategy) == (1e-3, "fsdp-shard-grad-op")
    assert (full.align.learning_rate, full.align.train_strategy) == (1e-4, "fsdp-full-shard")
    assert full.finetune == base.finetune
    assert (base.finetune.learning_rate, base.finetune.global_batch_size) == (2e-5, 128)


def test_the_reproduction_of_llava_has_the_larger_vicuna():
    assert ModelConfig.new("reproduction-llava-v15+13b").llm_backbone_id == "vicuna-v15-13b"


def test_the_published_variant_with_hiera_and_fewer_tokens_is_laid_out():
    config = dataclasses.replace(
        ModelConfig.new("merv-base"),
        video_backbone_ids=[
            "languagebind-video-noclass",
            "dinov2-video-all-tokens",
            "hiera-base-plus-video",
            "siglip-vit-b16-224px-all-no-cls",
        ],
        projector_token_length=16,
        visual_feature_length=256,
        llm_backbone_id="qwen2.5-7b-instruct",
        init="random",
    )

    with empty_parameters():
        model = config.build()

    assert model.visual_tokens() == 256
    assert model.llm.visual_position == 0  # Qwen has no BOS: the visual tokens come first
    assert count(model.llm) == 7_615_616_512
