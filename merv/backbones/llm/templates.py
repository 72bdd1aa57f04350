"""The prompt templates of published language models, by name; their texts are data."""

import re
from dataclasses import replace
from typing import Any, Literal

from merv.backbones.llm.prompts import PromptTemplate
from merv.errors import ConfigError

TemplateName = Literal["own", "pure", "llama2-chat", "vicuna", "llama3-chat", "qwen2"]

MERV_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
"""System message MERV trained its models with (https://github.com/princetonvisualai/merv)."""
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)
"""System message Vicuna v1.5 was trained with (https://github.com/lm-sys/FastChat)."""

TEMPLATES = {
    "pure": PromptTemplate(between=""),
    # https://github.com/meta-llama/llama: every exchange is a sequence of its own, from BOS to EOS.
    "llama2-chat": PromptTemplate(
        system=MERV_SYSTEM,
        before_system="<<SYS>>\n",
        after_system="\n<</SYS>>\n\n",
        system_in_question=True,
        before_user="[INST] ",
        after_user=" [/INST]",
        between="",
        bos_between=True,
    ),
    "vicuna": PromptTemplate(
        system=VICUNA_SYSTEM, after_system=" ", before_user="USER: ", after_user=" ASSISTANT:", between=""
    ),
    # https://github.com/meta-llama/llama3
    "llama3-chat": PromptTemplate(
        system=MERV_SYSTEM,
        before_system="<|start_header_id|>system<|end_header_id|>\n\n",
        after_system="<|eot_id|>",
        before_user="<|start_header_id|>user<|end_header_id|>\n\n",
        after_user="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        between="",
        end="<|eot_id|>",
    ),
    # ChatML: https://qwen.readthedocs.io/en/latest/getting_started/concepts.html
    "qwen2": PromptTemplate(
        system=MERV_SYSTEM,
        before_system="<|im_start|>system\n",
        after_system="<|im_end|>\n",
        before_user="<|im_start|>user\n",
        after_user="<|im_end|>\n<|im_start|>assistant\n",
        end="<|im_end|>",
    ),
}


def template_for(name: TemplateName, tokenizer: Any) -> PromptTemplate:
    """The template called `name`, as this tokenizer needs it.

    `own` is the chat template that came with the tokenizer; one that brought none gets `pure`.

    Raises:
        ConfigError: the tokenizer lacks the token that ends an answer, or its chat template cannot be followed.
    """
    from merv.backbones.llm.chat_template import follow_chat_template

    if name == "own" and tokenizer.chat_template:
        return follow_chat_template(tokenizer)
    template = TEMPLATES["pure" if name == "own" else name]
    if template.end is not None and template.end not in tokenizer.get_vocab():
        raise ConfigError(f"template {name} ends answers with {template.end}, which the tokenizer lacks; set another")
    if template.after_user[-1].isspace() or adds_space(tokenizer):
        return template
    return replace(template, before_answer=" ")


def adds_space(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a space before every text by itself, as SentencePiece does."""
    tokens = tokenizer.tokenize("a")
    return bool(tokens) and tokens[0].startswith("▁")


def special_tokens(template: PromptTemplate) -> list[str]:
    """The `<|tokens|>` its texts are made of, sorted."""
    texts = [value for value in vars(template).values() if isinstance(value, str)]
    return sorted(set(re.findall(r"<\|\w+\|>", "".join(texts))))
