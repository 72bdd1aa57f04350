"""Texts as vectors to compare them: CLIP's text tower and sentence encoders, from folders on this disk."""

import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from merv import runtime
from merv.errors import ConfigError
from merv.evaluation.metrics.captions import Embed

BATCH = 32
OPEN_CLIP = "ViT-B-32-quickgelu"
"""OpenAI's ViT-B/32 as open_clip calls it: with the activation it was trained with."""


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder without a model, before hours of answering.

    Raises:
        ConfigError: it has no config.json.
    """
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} holds no model (no config.json); download it there or set {option}")


def check_open_clip(weights: Path | None, option: str) -> None:
    """Refuse to go on without open_clip or the weights.

    Raises:
        ConfigError: one of them is missing.
    """
    if importlib.util.find_spec("open_clip") is None:
        raise ConfigError('open-clip is not installed; run pip install "merv[filters]", or use transformers')
    if weights is not None and not weights.is_file():
        raise ConfigError(f"{weights} is no file of weights; download it there or set {option}")


def clip_texts(folder: Path) -> Embed:
    """Text tower of a CLIP folder in transformers' layout, such as clip-vit-base-patch32; gives (N, D)."""
    from transformers import CLIPModel

    tokenizer, model = _load(CLIPModel, folder)

    def embed(inputs: Any) -> Tensor:
        return model.text_projection(model.text_model(**inputs).pooler_output)

    return _in_batches(tokenizer, model.config.text_config.max_position_embeddings, embed)


def open_clip_texts(weights: Path | None) -> Embed:
    """Text tower of OpenAI's ViT-B/32 in open_clip; `weights` is its file, None fetches it.  Gives (N, D)."""
    import open_clip

    model = open_clip.create_model(OPEN_CLIP, pretrained=str(weights) if weights else "openai").eval()
    model, tokenizer = model.to(runtime.device()), open_clip.get_tokenizer(OPEN_CLIP)

    def embed_all(texts: Sequence[str]) -> np.ndarray:
        with torch.inference_mode():
            parts = [model.encode_text(tokenizer(part).to(runtime.device())) for part in _parts(texts)]
        return torch.cat(parts).float().cpu().numpy()

    return embed_all


def sentence_texts(folder: Path) -> Embed:
    """Encoder of a folder in sentence-transformers' layout, such as all-mpnet-base-v2: the mean of its tokens; (N, D).

    Length and normalisation are those of sentence_bert_config.json and modules.json, where these are there.

    Raises:
        ConfigError: the folder pools otherwise than by the mean.
    """
    from transformers import AutoModel

    pooling = _json(folder / "1_Pooling/config.json")
    if pooling and not pooling.get("pooling_mode_mean_tokens"):
        raise ConfigError(f"{folder} does not pool by the mean of its tokens; use one that does: all-mpnet-base-v2")
    normalised = any(module["type"].endswith("Normalize") for module in _json(folder / "modules.json") or ())
    tokenizer, model = _load(AutoModel, folder)

    def embed(inputs: Any) -> Tensor:
        hidden_BLD, mask_BL1 = model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
        mean_BD = (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)
        return torch.nn.functional.normalize(mean_BD) if normalised else mean_BD

    length = (_json(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    return _in_batches(tokenizer, length or model.config.max_position_embeddings, embed)


def _load(model_class: Any, folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model, this one on the process's device and with every weight it uses read.

    Raises:
        ConfigError: the folder is damaged or lacks weights.
    """
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    try:
        with runtime.quiet("transformers"):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, found = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{folder} cannot be loaded: {reason}; download it again") from error
    missing = [name for name in found["missing_keys"] if not name.startswith("pooler.")]  # the pooler is not used
    if missing:
        raise ConfigError(f"{folder} lacks {len(missing)} weights, such as {sorted(missing)[0]}; download it again")
    return tokenizer, model.eval().to(runtime.device())


def _in_batches(tokenizer: Any, length: int, embed: Any) -> Embed:
    def embed_all(texts: Sequence[str]) -> np.ndarray:
        parts = []
        for part in _parts(texts):
            inputs = tokenizer(part, padding=True, truncation=True, max_length=length, return_tensors="pt")
            with torch.inference_mode():
                parts.append(embed(inputs.to(runtime.device())).float().cpu())
        return torch.cat(parts).numpy()

    return embed_all


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    return (list(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH))


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else None
