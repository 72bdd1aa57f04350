"""Runs with a feature cache: the same losses, and from the second epoch on nothing is decoded."""

from unittest import mock

import pytest
import torch
from helpers import course, run_words, train
from safetensors.torch import load_file

import merv.video.decode
from merv.backbones.video.base import VideoBackboneConfig
from merv.errors import ConfigError
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.multi_encoder.feature_cache import FeatureCache, encoder_key, weights_digest
from merv.video.media import MediaRef, Span

EPOCHS = ("--model.finetune.epochs", "2", "--model.finetune.max_steps", "null")


def words(data, root, run_id, *more, **options):
    return run_words(data, root, run_id, *EPOCHS, *more, stage="finetune", **options)


def decoded():
    return mock.patch.object(merv.video.decode, "read_clip", side_effect=merv.video.decode.read_clip)


def test_losses_are_those_without_a_cache_and_nothing_is_decoded_again(mixed_data, tmp_path):
    train(words(mixed_data, tmp_path, "plain"))
    cache = ("--feature_cache", str(tmp_path / "cache"), "--num_workers", "0")

    with decoded() as first:
        train(words(mixed_data, tmp_path, "first", *cache))
    with decoded() as second:
        train(words(mixed_data, tmp_path, "second", *cache))

    assert 0 < first.call_count < len(course(tmp_path / "plain")) * 8
    assert second.call_count == 0
    # A clip's features are computed in another batch: the order of float32 sums differs.
    torch.testing.assert_close(course(tmp_path / "first"), course(tmp_path / "plain"), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(course(tmp_path / "second"), course(tmp_path / "plain"), rtol=1e-5, atol=1e-5)


def test_a_half_filled_cache_and_a_damaged_file_are_made_good(mixed_data, tmp_path):
    cache = tmp_path / "cache"
    option = ("--feature_cache", str(cache))
    train(words(mixed_data, tmp_path, "first", *option))
    files = sorted(cache.rglob("*.safetensors"))
    for path in files[::5]:
        path.unlink()
    files[1].write_bytes(files[1].read_bytes()[:-7])

    with decoded() as calls:
        train(words(mixed_data, tmp_path, "second", *option))

    assert calls.call_count > 0
    torch.testing.assert_close(course(tmp_path / "second"), course(tmp_path / "first"), rtol=1e-5, atol=1e-5)
    assert sorted(path for path in cache.rglob("*") if path.is_file()) == files
    assert all("features" in load_file(path) for path in files)


def test_features_are_reduced_before_they_are_kept(mixed_data, tmp_path):
    cache = tmp_path / "cache"

    train(words(mixed_data, tmp_path, "run", "--feature_cache", str(cache)))

    shapes = {tuple(load_file(path)["features"].shape) for path in cache.rglob("*.safetensors")}
    assert shapes == {(16, 96)}  # 4 time steps of 4 tokens, whatever the encoder gave


def test_a_stage_that_trains_encoders_refuses_a_cache(mixed_data, tmp_path):
    option = ("--feature_cache", str(tmp_path / "cache"))
    command = run_words(mixed_data, tmp_path, "a", *option, stage="full-finetune")

    with pytest.raises(ConfigError, match="features of frozen encoders, but this stage trains them; leave it out"):
        train(command)


def key(name="tiny-frames", seed=0, reduction="none", dtype=torch.float32, decoded=8, **options):
    config = VideoBackboneConfig.new(name, **options)
    torch.manual_seed(seed)
    return encoder_key(config.build(), config, reduction=reduction, dtype=dtype, decoded=decoded)


def test_the_key_of_an_encoder_says_what_its_features_depend_on():
    same = key()

    assert same == key()
    others = [
        key(seed=1),
        key("tiny-coarse"),
        key(resize="crop"),
        key(reduction="means of (4, 2, 2)"),
        key(dtype=torch.bfloat16),
        key(decoded=16),
        key(num_heads=2),
    ]
    assert len({same, *others}) == 8


def test_where_the_weights_are_does_not_change_the_key(tmp_path):
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    small = {"init": "random", "tower": {**tower, "image_size": 28}}

    keys = [key("languagebind-video-classemb", **small), key("languagebind-video-averagetoken", **small)]

    assert key("languagebind-video-classemb", path=str(tmp_path), **small) == keys[0]
    assert keys[0] != keys[1]  # the same weights and the same shape


def test_an_encoder_that_sees_other_frames_of_a_clip_shares_no_features(tmp_path):
    sizes = {"visual_feature_length": 256, "llm_max_length": 512}
    alone = MultiEncoderConfig(video_backbone_ids=["tiny-frames"], num_frames=[4], **sizes).build()
    beside = MultiEncoderConfig(video_backbone_ids=["tiny-frames", "tiny-motion"], num_frames=[4, 8], **sizes).build()

    for model in (alone, beside):
        model.requires_grad_(False).use_feature_cache(tmp_path, torch.float32)

    assert weights_digest(alone.video_backbones[0]) == weights_digest(beside.video_backbones[0])
    assert alone.cache.encoders[0] != beside.cache.encoders[0]  # 4 frames of 4 are not every other one of 8


def test_the_key_of_a_clip_follows_its_file_and_its_span(tmp_path):
    cache = FeatureCache(tmp_path, ("e",))
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    whole = cache.clip(MediaRef(path))

    keys = {whole, cache.clip(MediaRef(path, span=Span(0, 1))), cache.clip(MediaRef(path, span=Span(0, 2)))}
    path.write_bytes(b"other")
    keys.add(cache.clip(MediaRef(path)))

    assert len(keys) == 4


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"feature_cache: .* cannot be written: .*; choose another folder"):
        FeatureCache(tmp_path / "file", ("e",)).write(0, "ab", torch.zeros(1))


def test_a_reader_never_sees_a_part_of_a_file(tmp_path):
    cache = FeatureCache(tmp_path, ("e",))

    with mock.patch("os.replace", side_effect=OSError("disk")), pytest.raises(ConfigError):
        cache.write(0, "abc", torch.zeros(1))

    assert cache.read("abc") is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
