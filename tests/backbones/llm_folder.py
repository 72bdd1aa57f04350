"""Small language models in the layout of published repositories, so that the real loading code reads them."""

import json
import shutil

import pytest
import torch

from merv.backbones.llm import files, published
from merv.backbones.llm.base import LLMConfig

from .recorded_prompts import GOLDEN

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
KINDS = {"llama_tiny": ("llama", 319), "llama31_tiny": ("llama", 412), "qwen2_tiny": ("qwen2", 416)}
"""Tokenizer -> type of the model, and rows of its embeddings."""
FORMATS = ("safetensors", "sharded safetensors", "bin", "sharded bin")


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """Nothing is fetched, the cache is empty, and what a test registers is forgotten."""
    assert published.PADDING, "importing it registers the models"
    monkeypatch.setattr(files, "hub_is_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(LLMConfig, "_choice_registry", dict(LLMConfig.get_known_choices()))


def new(name="llama2-7b-pure", path=None, **options):
    return LLMConfig.new(name, **({} if path is None else {"path": str(path)}), **options)


def save_llm(folder, *, tokenizer="llama_tiny", weights="safetensors", **fields):
    """Write config, tokenizer and weights; gives the model they came from."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, rows = KINDS[tokenizer]
    config = AutoConfig.for_model(kind, **{**SIZES, "vocab_size": rows, **fields})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder, max_shard_size="10KB" if weights.startswith("sharded") else "1GB")
    if weights.endswith("bin"):
        _as_bin(folder)
    copy_tokenizer(folder, tokenizer)
    return model.eval()


def copy_tokenizer(folder, tokenizer="llama_tiny"):
    folder.mkdir(parents=True, exist_ok=True)
    for file in (GOLDEN / "tokenizers" / tokenizer).iterdir():
        shutil.copy(file, folder / file.name)


def _as_bin(folder):
    """What transformers 4 wrote: the same files as torch pickles."""
    from safetensors.torch import load_file

    for file in folder.glob("model*.safetensors"):
        name = file.name.replace("model", "pytorch_model", 1).replace(".safetensors", ".bin")
        torch.save(load_file(file), folder / name)
        file.unlink()
    for file in folder.glob("model.safetensors.index.json"):
        index = json.loads(file.read_text())
        index["weight_map"] = {
            key: name.replace("model", "pytorch_model", 1).replace(".safetensors", ".bin")
            for key, name in index["weight_map"].items()
        }
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        file.unlink()
