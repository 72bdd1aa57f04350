"""Runs with a feature cache: the same losses, and from the second epoch on nothing is decoded."""

from unittest import mock

import pytest
import torch
from helpers import course, run_words, train
from safetensors.torch import load_file

import merv.video.decode
from merv.errors import ConfigError
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.models.multi_encoder.feature_cache import FeatureCache, encoder_key
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


def backbone(name="tiny-frames", seed=0, **options):
    config = MultiEncoderConfig(video_backbone_ids=[name], backbone_options={name: options}, visual_feature_length=512)
    return config.build(seed=seed).video_backbones[0]


def test_the_key_of_an_encoder_says_what_its_features_depend_on():
    same = encoder_key(backbone(), "none", torch.float32, decoded=8)

    assert same == encoder_key(backbone(), "none", torch.float32, decoded=8)
    others = [
        encoder_key(backbone(seed=1), "none", torch.float32, decoded=8),
        encoder_key(backbone("tiny-coarse"), "none", torch.float32, decoded=8),
        encoder_key(backbone(resize="crop"), "none", torch.float32, decoded=8),
        encoder_key(backbone(), "means of (4, 2, 2)", torch.float32, decoded=8),
        encoder_key(backbone(), "none", torch.bfloat16, decoded=8),
        encoder_key(backbone(), "none", torch.float32, decoded=16),
    ]
    assert len({same, *others}) == 7


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
