"""A two-layer Qwen2-VL and its tokenizer, made on the spot: for the demo, the tests and CI."""

from dataclasses import dataclass
from typing import Any

import torch

from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.models.qwen2_vl.tokens import IMAGE, VIDEO, VISION_END, VISION_START
from merv.video.budget import VisualBudget

CHAT = ("<|im_start|>", "<|im_end|>", VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO)
"""Special tokens of a published Qwen2-VL's tokenizer."""
MORE_WORDS = """
relevant moment happens Plan When Is it screen shows show seen look around planner grounder verifier answerer type
value ring background around Best choice How many Where first colour last system user assistant You are helpful"""
"""What is kept whole beside the words of the tiny LLM."""


TOKEN, FRAME = 28 * 28, 56 * 56
"""Pixels that become one visual token, and those of a frame of the drawn clips."""
TINY_BUDGETS = {
    "planner": VisualBudget(fps=0.25, max_frames=4, min_pixels=TOKEN, max_pixels=TOKEN),
    "grounder": VisualBudget(fps=2.0, max_frames=64, min_pixels=TOKEN, max_pixels=TOKEN),
    "verifier": VisualBudget(fps=2.0, max_frames=32, min_pixels=TOKEN, max_pixels=TOKEN),
    "answerer": VisualBudget(fps=1.0, max_frames=4, min_pixels=TOKEN, max_pixels=FRAME),
    "gqa": VisualBudget(fps=2.0, max_frames=64, min_pixels=TOKEN, max_pixels=FRAME),
}
"""What roles on the tiny base are shown of clips of half a minute: backgrounds need few pixels, colours more."""


@dataclass
class TinyBaseConfig:
    """Sizes of the base that `base tiny` draws; its weights depend on nothing else."""

    hidden_size: int = 128
    """Width of the LLM; a multiple of 2 x num_heads."""
    intermediate_size: int = 256
    """Width inside its feed-forward layers."""
    num_layers: int = 2
    """Decoder layers."""
    num_heads: int = 4
    """Attention heads of the LLM and of the vision tower."""
    vision_dim: int = 64
    """Width of the vision tower."""
    vision_depth: int = 2
    """Layers of the vision tower."""
    seed: int = 7
    """Decides the weights: whoever has the sizes and this number has the base."""


def tiny_tokenizer() -> Any:
    """A byte-level tokenizer with the special tokens of a Qwen2-VL."""
    tokenizer = byte_level_tokenizer([*WORDS.split(), *MORE_WORDS.split()])
    tokenizer.add_tokens(list(CHAT), special_tokens=True)
    tokenizer.bos_token = None
    tokenizer.eos_token = "<|im_end|>"
    return tokenizer


def tiny_base(config: TinyBaseConfig, tokenizer: Any) -> Any:
    """The model; its weights are drawn from `config.seed`, whatever torch's generator has done before."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _TOKENS.items()}
    half = config.hidden_size // config.num_heads // 2
    shape = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_hidden_layers": config.num_layers,
            "num_attention_heads": config.num_heads,
            "num_key_value_heads": config.num_heads,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
            },
            "initializer_range": config.hidden_size**-0.5,  # the usual 0.02 is for widths in the thousands
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": config.vision_depth,
            "embed_dim": config.vision_dim,
            "hidden_size": config.hidden_size,
            "num_heads": config.num_heads,
            "mlp_ratio": 2,
            "initializer_range": config.vision_dim**-0.5,
        },
        tie_word_embeddings=False,
        **ids,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Qwen2VLForConditionalGeneration(shape)


_TOKENS = {
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
}
