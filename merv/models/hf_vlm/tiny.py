"""Tiny image-text models in the published layout, drawn on the spot: for trying things out, the tests and CI.

`--model.path merv/tiny-qwen2.5-vl` or `merv/tiny-aria` writes one to model_zoo, where published ones lie, too.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from merv.backbones.llm.loading import without_bars
from merv.backbones.llm.tiny import WORDS, byte_level_tokenizer
from merv.backbones.llm.zoo import ZOO
from merv.runtime import quiet

SEED = 7
QWEN_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
ARIA_TOKENS = ("<|im_start|>", "<|im_end|>", "<|img|>", "<fim_prefix>", "<fim_suffix>")
MORE_WORDS = "system user assistant You are helpful USER ASSISTANT happens letter"

QWEN_TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ARIA_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'text' %}{{ c['text'] }}"
    "{% elif c['type'] == 'image' %}<fim_prefix><|img|><fim_suffix>{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def drawn(name: str) -> Path:
    """The folder of a drawn model below model_zoo; written where it is not there.

    Args:
        name: one of `DRAWN`.
    """
    folder = ZOO / name.rpartition("/")[2]
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
        write(DRAWN[name](SEED), partial)
        try:
            partial.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return folder


def write(made: tuple[Any, Any], folder: Path) -> None:
    """Write a model and its processor."""
    with quiet("transformers"), without_bars():
        for each in made:
            each.save_pretrained(folder)


def tokenizer_with(special: Sequence[str], eos: str, template: str) -> Any:
    """A byte-level tokenizer with special tokens and a chat template."""
    tokenizer = byte_level_tokenizer([*WORDS.split(), *MORE_WORDS.split()])
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.eos_token = eos
    tokenizer.chat_template = template
    return tokenizer


def seeded(make: Callable[[], Any], seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def text_sizes(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Sizes of a decoder of two layers; two heads of queries share one of keys."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
        **more,
    }


def qwen_tokenizer() -> Any:
    tokenizer = tokenizer_with(QWEN_TOKENS, "<|im_end|>", QWEN_TEMPLATE)
    tokenizer.bos_token = None
    return tokenizer


def qwen_ids(tokenizer: Any) -> dict[str, Any]:
    names = ("vision_start", "vision_end", "image", "video")
    tokens = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    return {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token) for name, token in zip(names, tokens, strict=True)
    }


MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}


def tiny_qwen(seed: int) -> tuple[Any, Any]:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

    tokenizer = qwen_tokenizer()
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen2_5_VLConfig(
        text_config=text_sizes(tokenizer, rope_parameters=MROPE),
        vision_config={**vision, "fullatt_block_indexes": [1], "window_size": 56},
        tie_word_embeddings=False,
        **qwen_ids(tokenizer),
    )
    model = seeded(lambda: Qwen2_5_VLForConditionalGeneration(config), seed)
    return model, qwen_processor(Qwen2_5_VLProcessor, tokenizer)


def qwen_processor(kind: Any, tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    size = {"shortest_edge": 28 * 28, "longest_edge": 4 * 28 * 28}
    videos = {"shortest_edge": 28 * 28, "longest_edge": 64 * 28 * 28}
    return kind(
        Qwen2VLImageProcessor(size=size), tokenizer, Qwen2VLVideoProcessor(size=videos), chat_template=QWEN_TEMPLATE
    )


def tiny_aria(seed: int) -> tuple[Any, Any]:
    """Patches of 70 pixels in place of 14, so that 490 pixels are 49 patches, shown to the LLM as 8 tokens."""
    from transformers import AriaConfig, AriaForConditionalGeneration, AriaImageProcessor, AriaProcessor

    tokenizer = naming_image(tokenizer_with(ARIA_TOKENS, "<|im_end|>", ARIA_TEMPLATE), "<|img|>")
    vision = {"model_type": "idefics3_vision", "image_size": 980, "patch_size": 70, "hidden_size": 32}
    vision |= {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
    experts = {"moe_num_experts": 4, "moe_topk": 2, "moe_num_shared_experts": 1}
    config = AriaConfig(
        vision_config=vision,
        text_config={"model_type": "aria_text", **text_sizes(tokenizer, **experts)},
        projector_patch_to_query_dict={49: 8, 196: 16},
        image_token_index=tokenizer.convert_tokens_to_ids("<|img|>"),
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    model = seeded(lambda: AriaForConditionalGeneration(config), seed)
    processor = AriaProcessor(
        AriaImageProcessor(max_image_size=490, min_image_size=70),
        tokenizer,
        chat_template=ARIA_TEMPLATE,
        size_conversion={490: 8, 980: 16},
    )
    return model, processor


def naming_image(tokenizer: Any, token: str) -> Any:
    """The tokenizer with an attribute `image_token`, as Aria's has."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side="right",
        chat_template=tokenizer.chat_template,
        extra_special_tokens={"image_token": token},
    )


DRAWN: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "merv/tiny-qwen2.5-vl": tiny_qwen,
    "merv/tiny-aria": tiny_aria,
}
"""Names `--model.path` takes beside those of the hub, and what draws them from a seed."""
