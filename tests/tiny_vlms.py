"""Small vision-language models in the published layout: real classes, real processors, a tokenizer made on the spot.

tiny_vlm("aria", tmp_path / "aria")  # a folder AutoModelForImageTextToText and AutoProcessor load
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from merv.models.hf_vlm.tiny import (
    MROPE,
    qwen_ids,
    qwen_processor,
    qwen_tokenizer,
    seeded,
    text_sizes,
    tiny_aria,
    tiny_qwen,
    tokenizer_with,
    write,
)

LLAVA_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}ASSISTANT:{% elif m['role'] == 'user' %}USER:{% endif %}"
    "{% if m['content'] is string %} {{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %} <image>\n{% elif c['type'] == 'text' %} {{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% if m['role'] == 'assistant' %}</s>{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tiny_vlm(name: str, folder: Path, *, seed: int = 7) -> Path:
    """Write the model called `name` to `folder`; gives the folder."""
    write(KINDS[name](seed), folder)
    return folder


def _qwen2_vl(seed: int) -> tuple[Any, Any]:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    tokenizer = qwen_tokenizer()
    config = Qwen2VLConfig(
        text_config=text_sizes(tokenizer, rope_parameters=MROPE),
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
        tie_word_embeddings=False,
        **qwen_ids(tokenizer),
    )
    model = seeded(lambda: Qwen2VLForConditionalGeneration(config), seed)
    return model, qwen_processor(Qwen2VLProcessor, tokenizer)


def _llava(seed: int) -> tuple[Any, Any]:
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = tokenizer_with(["<image>"], "</s>", LLAVA_TEMPLATE)
    vision = {"model_type": "clip_vision_model", "image_size": 56, "patch_size": 14, "hidden_size": 32}
    config = LlavaConfig(
        vision_config={**vision, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2},
        text_config={"model_type": "llama", **text_sizes(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
        tie_word_embeddings=False,
    )
    model = seeded(lambda: LlavaForConditionalGeneration(config), seed)
    size = {"height": 56, "width": 56}
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=size),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=LLAVA_TEMPLATE,
        num_additional_image_tokens=1,
    )
    return model, processor


KINDS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "qwen2-vl": _qwen2_vl,
    "qwen2.5-vl": tiny_qwen,
    "aria": tiny_aria,
    "llava": _llava,
}
