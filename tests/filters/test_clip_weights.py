import json

import pytest
import torch
from safetensors.torch import save_file

from merv.errors import ConfigError
from merv.filters import clip_weights
from merv.filters.clip import TINY_SIZES, ClipConfig
from merv.filters.clip_weights import find_weights, nearest


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub's cache with the files that are put there: hub("owner/name", "file")."""
    files = {}

    def put(repository, name):
        path = tmp_path / repository.replace("/", "--") / name
        path.parent.mkdir(exist_ok=True)
        save_file({"a": torch.zeros(1)}, path)
        files[repository, name] = path
        return path

    monkeypatch.setattr(clip_weights, "find_cached", lambda repository, name: files.get((repository, name)))
    return put


def transformers_clip(activation):
    """A CLIP of transformers with the sizes of `tiny`."""
    from transformers import CLIPConfig, CLIPModel

    vision, text = TINY_SIZES["vision_cfg"], TINY_SIZES["text_cfg"]
    config = CLIPConfig(
        vision_config={
            **{"image_size": 32, "patch_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2},
            **{"hidden_size": vision["width"], "intermediate_size": 4 * vision["width"], "hidden_act": activation},
        },
        text_config={
            **{
                "vocab_size": 49408,
                "num_hidden_layers": 1,
                "num_attention_heads": text["heads"],
                "eos_token_id": 49407,
            },
            **{"hidden_size": text["width"], "intermediate_size": 4 * text["width"], "hidden_act": activation},
        },
        projection_dim=TINY_SIZES["embed_dim"],
    )
    torch.manual_seed(0)
    return CLIPModel(config).eval()


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@torch.no_grad()
def test_a_folder_of_transformers_gives_the_vectors_transformers_gives(tmp_path, activation):
    theirs = transformers_clip(activation)
    theirs.save_pretrained(tmp_path)
    config = ClipConfig(model="tiny", pretrained=str(tmp_path), batch_size=2)

    ours = config.build_clip(config.find_clip(), torch.device("cpu"))

    images, ids = torch.randn(2, 3, 32, 32), ours.tokenizer(["a vase", "several sherds on a table"])
    image = theirs.visual_projection(theirs.vision_model(images).pooler_output)
    text = theirs.text_projection(theirs.text_model(ids).pooler_output)
    torch.testing.assert_close(ours.network.encode_image(images), image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.network.encode_text(ids), text, atol=1e-5, rtol=1e-4)


def test_a_training_of_open_clip_is_found_in_the_hubs_cache_with_its_activation(hub):
    openai = hub("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors")
    laion = hub("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "open_clip_pytorch_model.bin")

    one, other = find_weights("ViT-B-32", "openai"), find_weights("ViT-B-32", "laion2b_s34b_b79k")

    assert (one.file, one.quick_gelu, one.view["resize_mode"]) == (openai, True, "shortest")
    assert (other.file, other.quick_gelu) == (laion, False)


def test_a_repository_is_found_in_the_hubs_cache(hub):
    file = hub("openai/clip-vit-base-patch32", "model.safetensors")
    file.with_name("config.json").write_text(json.dumps({"model_type": "clip"}))

    found = find_weights("ViT-B-32", "openai/clip-vit-base-patch32")

    assert (found.file, found.quick_gelu) == (file, True)


def test_a_folder_of_open_clip_says_how_pictures_are_prepared(tmp_path):
    save_file({"module.a": torch.zeros(1), "vocab_size": torch.ones(1)}, tmp_path / "open_clip_model.safetensors")
    told = {"model_cfg": {"quick_gelu": True}, "preprocess_cfg": {"mean": [0, 0, 0]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(told))

    found = find_weights("ViT-B-32", str(tmp_path))

    assert (found.quick_gelu, found.view) == (True, {"mean": [0, 0, 0]})
    assert list(found.tensors()) == ["a"]


@pytest.mark.parametrize(
    ("pretrained", "line"),
    [
        (
            "openai",
            r"`openai` of ViT-B-32 are not on this disk; run `hf download timm/vit_base_patch32_clip_224.openai`",
        ),
        ("some/where", r"are not on this disk; run `hf download some/where`"),
        ("opnai", r"`opnai` is no file, no folder and no training of ViT-B-32; did you mean `openai`"),
        ("", r"`` is no file"),
    ],
)
def test_weights_that_are_not_here_are_one_line_with_ways_to_get_them(hub, tmp_path, monkeypatch, pretrained, line):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=line):
        find_weights("ViT-B-32", pretrained)


def test_a_training_is_meant_even_where_a_folder_has_its_name(hub, tmp_path, monkeypatch):
    """VaseVQA-3D keeps openai/clip-vit-base-patch32 beside its scripts."""
    file = hub("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors")
    beside = tmp_path / "openai" / "clip-vit-base-patch32"
    beside.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, beside / "model.safetensors")
    monkeypatch.chdir(tmp_path)

    assert find_weights("ViT-B-32", "openai").file == file
    assert find_weights("ViT-B-32", "openai/clip-vit-base-patch32").file.resolve() == beside / "model.safetensors"


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds none of open_clip_model\.safetensors"):
        find_weights("ViT-B-32", str(tmp_path))


def test_a_damaged_config_beside_the_weights_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(ConfigError, match=r"config\.json is no JSON"):
        find_weights("ViT-B-32", str(tmp_path))


def test_near_names_are_told_or_the_first_few():
    assert nearest("OPENAI", ["openai", "laion"]) == "did you mean `openai`?"
    assert nearest("x", [f"name{number}" for number in range(20)]).endswith("name11, ...")
    assert nearest("x", []) == "there is: none"
