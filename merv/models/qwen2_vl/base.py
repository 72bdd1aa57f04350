"""Where the base of the role models comes from: a published Qwen2-VL, or its shape with random weights."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from merv.backbones.llm import files
from merv.backbones.llm.loading import (
    check_attention,
    forget_sampling,
    grow_vocabulary,
    load_model,
    load_tokenizer,
)
from merv.backbones.llm.zoo import OPTION, folder_of
from merv.errors import ConfigError
from merv.models.qwen2_vl.tokens import NEW_TOKENS, add_tokens
from merv.models.qwen2_vl.tower import speed_up

SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2-VL-2B-Instruct": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2-VL-7B-Instruct": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
}
"""What sets the published sizes apart, from their config.json; both have 28 layers and the same vision tower."""


def published_base(repo: str, path: Path | None, *, dtype: str, attention: str) -> tuple[Any, Any]:
    """A published base and its tokenizer.

    Raises:
        ConfigError: files are missing, or are not those of a Qwen2-VL.
        CheckpointError: weights are damaged or of another model.
    """
    folder, what = folder_of(repo, path), f"base `{repo}`"
    kind = json.loads((folder / "config.json").read_text()).get("model_type")
    if kind != "qwen2_vl":
        raise ConfigError(f"{what}: {folder / 'config.json'} is of a {kind}; role models need a qwen2_vl")
    check_attention(attention, what)
    model = load_model(folder, dtype=dtype, attention=attention, what=what, family="AutoModelForImageTextToText")
    forget_sampling(model)
    return model, load_tokenizer(folder, what)


def random_base(repo: str, path: Path | None, *, dtype: str, attention: str, stand_in: Any) -> tuple[Any, Any]:
    """The shape of a published base with random weights, to measure speed and memory; and a tokenizer that stands in.

    Raises:
        ConfigError: the shape is neither known nor to be read from `path`.
    """
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    if path is not None:
        config = Qwen2VLConfig.from_pretrained(str(files.local_folder(path, weights=False, what=repo, option=OPTION)))
    elif repo in SHAPES:
        shape = SHAPES[repo]
        sections = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
        text = {**shape, "num_hidden_layers": 28, "rope_parameters": sections, "max_position_embeddings": 32768}
        config = Qwen2VLConfig(
            text_config=text,
            vision_config={"hidden_size": shape["hidden_size"]},
            tie_word_embeddings=shape["tie_word_embeddings"],
        )
    else:
        raise ConfigError(
            f"init random: the shape of `{repo}` is not known; name a folder with its config.json: {OPTION}"
        )
    made: Any = Qwen2VLForConditionalGeneration._from_config(
        config, dtype=getattr(torch, dtype), attn_implementation=attention
    )
    return made, stand_in


def with_tokens(base: Any, tokenizer: Any) -> None:
    """Make the roles' tokens known; their rows in embeddings and head begin at the mean of the known tokens' rows."""
    known = len(tokenizer)
    if not add_tokens(tokenizer):
        return
    grow_vocabulary(base, len(tokenizer))
    new = tokenizer.convert_tokens_to_ids(list(NEW_TOKENS))
    with torch.no_grad():
        for module in (base.get_input_embeddings(), base.get_output_embeddings()):
            module.weight[new] = module.weight[:known].float().mean(0).to(module.weight.dtype)


def take_vision(base: Any) -> nn.Module:
    """Take the vision tower out of a base; what stays is a language model that is driven by embeddings."""
    tower = base.model.visual
    del base.model.visual
    speed_up(tower)
    return tower
