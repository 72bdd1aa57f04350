"""More image-text models of transformers, drawn small: what the family has to take without knowing it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from merv.models.hf_vlm.tiny import (
    MROPE,
    QWEN_TEMPLATE,
    qwen_ids,
    qwen_tokenizer,
    seeded,
    text_sizes,
    tokenizer_with,
    write,
)

VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def other_vlm(name: str, folder: Path) -> Path:
    """Write the model called `name` to `folder`; gives the folder."""
    write(OTHERS[name](7), folder)
    return folder


def _template(before: str, after: str, image: str, *, video: str = "", first: str = "", assistant: str = "") -> str:
    """A chat template: `before` the role, `after` the turn, and what stands for media."""
    role = f"{{{{ '{assistant}' if m['role'] == 'assistant' else m['role'] }}}}" if assistant else "{{ m['role'] }}"
    shown = f"{{% elif c['type'] == 'image' %}}{image}"
    shown += f"{{% elif c['type'] == 'video' %}}{video}" if video else ""
    said = "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    said += "{% if c['type'] == 'text' %}{{ c['text'] }}" + shown + "{% endif %}{% endfor %}{% endif %}"
    turns = f"{{% for m in messages %}}{before}{role}\n{said}{after}\n{{% endfor %}}"
    return f"{first}{turns}{{% if add_generation_prompt %}}{before}{assistant or 'assistant'}\n{{% endif %}}"


def _with_names(tokenizer: Any, **names: str) -> Any:
    """The tokenizer with attributes for some of its tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        bos_token="<s>",
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        padding_side="right",
        chat_template=tokenizer.chat_template,
        extra_special_tokens=names,
    )


def _qwen3_vl(seed: int) -> tuple[Any, Any]:
    """Puts time stamps in the place of a video, and feeds features into inner layers."""
    import transformers as tf

    tokenizer = qwen_tokenizer()
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    config = tf.Qwen3VLConfig(
        text_config=text_sizes(tokenizer, rope_parameters={**MROPE, "mrope_interleaved": True}, head_dim=8),
        vision_config={**vision, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
        tie_word_embeddings=False,
        **qwen_ids(tokenizer),
    )
    images = tf.Qwen2VLImageProcessor(size={"shortest_edge": 1024, "longest_edge": 4096}, patch_size=16)
    videos = tf.Qwen3VLVideoProcessor(size={"shortest_edge": 1024, "longest_edge": 65536})
    processor = tf.Qwen3VLProcessor(images, tokenizer, videos, chat_template=QWEN_TEMPLATE)
    return seeded(lambda: tf.Qwen3VLForConditionalGeneration(config), seed), processor


def _internvl(seed: int) -> tuple[Any, Any]:
    """Cuts an image into tiles, and numbers the frames of a video."""
    import transformers as tf

    special = ["<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<video>", "<img>", "</img>"]
    template = _template("<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>\n", video="<video>\n")
    tokenizer = _with_names(
        tokenizer_with(special, "<|im_end|>", template),
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = tf.InternVLConfig(
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={"model_type": "qwen2", **text_sizes(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
        tie_word_embeddings=False,
    )
    size = {"height": 32, "width": 32}
    images, videos = tf.GotOcr2ImageProcessor(size=size), tf.InternVLVideoProcessor(size=size)
    processor = tf.InternVLProcessor(images, tokenizer, videos, image_seq_length=4, chat_template=template)
    return seeded(lambda: tf.InternVLForConditionalGeneration(config), seed), processor


def _gemma3(seed: int) -> tuple[Any, Any]:
    """Looks both ways within an image, ties its head, and ends turns with another token than its texts."""
    import transformers as tf

    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    template = _template(
        "<start_of_turn>", "<end_of_turn>", "<start_of_image>", first="{{ bos_token }}", assistant="model"
    )
    tokenizer = _with_names(
        tokenizer_with(special, "</s>", template),
        image_token="<image_soft_token>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    config = tf.Gemma3Config(
        text_config={**text_sizes(tokenizer), "head_dim": 8, "sliding_window": 64, "query_pre_attn_scalar": 8},
        vision_config={**VISION, "image_size": 32, "patch_size": 8},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        tie_word_embeddings=True,
    )
    images = tf.Gemma3ImageProcessor(size={"height": 32, "width": 32})
    processor = tf.Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=template)
    return seeded(lambda: tf.Gemma3ForConditionalGeneration(config), seed), processor


OTHERS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "qwen3-vl": _qwen3_vl,
    "internvl": _internvl,
    "gemma3": _gemma3,
}
