import importlib.util
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from merv.errors import ConfigError
from merv.evaluation.text_embedding import check_folder, check_open_clip, clip_texts, sentence_texts

from .text_models import write_clip, write_sentence

TEXTS = ["a red vase", "kylix, 490-470", "x", "one very long line about a black vase and a white one"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="module")
def sentence(tmp_path_factory):
    return write_sentence(tmp_path_factory.mktemp("models") / "sentence")


def test_clip_vectors_are_the_text_features_of_transformers(clip):
    from transformers import CLIPModel, CLIPTokenizer

    inputs = CLIPTokenizer.from_pretrained(clip)(TEXTS, padding=True, truncation=True, return_tensors="pt")

    found = clip_texts(clip)(TEXTS)

    assert found.shape == (4, 6)
    assert inputs["input_ids"].shape[1] == 20  # the last one is cut
    with torch.no_grad():
        expected = CLIPModel.from_pretrained(clip).eval().get_text_features(**inputs).pooler_output
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalised", [True, False])
def test_sentence_vectors_are_the_mean_over_their_own_tokens(tmp_path, normalised):
    from transformers import BertModel, BertTokenizer

    folder = write_sentence(tmp_path / "sentence", normalised=normalised)
    tokenizer, model = BertTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()

    found = sentence_texts(folder)(TEXTS)

    for text, vector in zip(TEXTS, found, strict=True):
        inputs = tokenizer(text, truncation=True, max_length=40, return_tensors="pt")
        with torch.no_grad():
            mean = model(**inputs).last_hidden_state[0].mean(0).numpy()  # alone, so without padding
        expected = mean / np.linalg.norm(mean) if normalised else mean
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5)


def test_a_sentence_is_cut_where_its_folder_says(tmp_path):
    embed = sentence_texts(write_sentence(tmp_path / "sentence", length=6))

    short, whole, long = embed(["abc", "abcd", "abcdefgh"])  # four letters and the two tokens around them

    np.testing.assert_allclose(long, whole, rtol=1e-4, atol=1e-5)
    assert not np.allclose(short, whole, atol=1e-3)


@pytest.mark.parametrize("size", [1, 32, 33, 70])
def test_the_number_of_texts_does_not_matter(clip, size):
    texts = (TEXTS * 20)[:size]

    np.testing.assert_allclose(clip_texts(clip)(texts)[:4], clip_texts(clip)(TEXTS)[:size], rtol=1e-4, atol=1e-5)


def test_other_pooling_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not pool by the mean of its tokens"):
        sentence_texts(write_sentence(tmp_path / "sentence", pooling="cls"))


@pytest.mark.parametrize(("write", "load", "lost"), [(write_clip, clip_texts, "text_projection.weight")])
def test_weights_that_are_missing_are_not_drawn(tmp_path, write, load, lost):
    folder = write(tmp_path / "model")
    path = folder / "model.safetensors"
    save_file({name: t for name, t in load_file(path).items() if name != lost}, path, {"format": "pt"})

    with pytest.raises(ConfigError, match=rf"lacks 1 weights, such as {lost}; download it again"):
        load(folder)


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_a_damaged_folder_is_named_in_one_line(tmp_path, damaged):
    folder = write_clip(tmp_path / "clip")
    (folder / damaged).write_bytes(b"<html>")

    with pytest.raises(ConfigError, match=r"clip cannot be loaded: .*; download it again") as caught:
        clip_texts(folder)

    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused_before_answering(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no model \(no config\.json\); download it there or set clip_path"):
        check_folder(tmp_path, "clip_path")


def test_the_missing_package_is_named_with_its_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "open_clip" else found(name))

    with pytest.raises(ConfigError, match=r'pip install "merv\[filters\]", or use transformers'):
        check_open_clip(None, "clip_path")


def test_missing_weights_of_open_clip_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())

    with pytest.raises(ConfigError, match=r"ViT-B-32\.pt is no file of weights; .* set clip_path"):
        check_open_clip(tmp_path / "ViT-B-32.pt", "clip_path")


def test_a_plain_folder_of_transformers_is_a_sentence_encoder_too(tmp_path, sentence):
    folder = write_sentence(tmp_path / "plain", normalised=False)
    for path in (folder / "modules.json", folder / "1_Pooling/config.json"):
        path.unlink()

    unscaled = sentence_texts(folder)(TEXTS)

    scaled = sentence_texts(sentence)(TEXTS)  # the same weights
    assert json.loads((sentence / "modules.json").read_text())[-1]["type"].endswith("Normalize")
    np.testing.assert_allclose(unscaled / np.linalg.norm(unscaled, axis=1)[:, None], scaled, rtol=1e-4, atol=1e-5)
