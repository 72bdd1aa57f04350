"""The language models MERV was trained with, by the ids it gave them (https://github.com/princetonvisualai/merv).

Padding follows it too, because its checkpoints hold embeddings of that size: Llama 2, Vicuna and Llama 3 get one more
token, and with it 64 more rows.
"""

from merv.backbones.hub import HubSource
from merv.backbones.llm import shapes
from merv.backbones.llm.hf import HubLLMConfig

PADDING = {
    "llama2": "<PAD>",
    "llama3": "<PAD>",
    "llama3.1": "<|finetune_right_pad_id|>",
    "qwen2": "<|endoftext|>",  # the original takes id 128004, an ordinary word there
}
"""Padding token of each family; `<PAD>` is added, the others are in the vocabulary."""


def _publish(
    name: str, repo: str, family: str, shape: shapes.Shape, *, template: str, reference: str | None = None
) -> None:
    """Register one model; `reference` names the original's prompts where they are not called like the template."""
    config = HubLLMConfig.preset(name, template=template)
    config.source = HubSource(repo, gated=repo.startswith("meta-llama/"))
    config.shape = shape
    config.padding = PADDING[family]
    config.adds_padding = family in ("llama2", "llama3")
    config.has_bos = family != "qwen2"
    config.reference = reference or template


for _size, _shape in (("7b", shapes.LLAMA2_7B), ("13b", shapes.LLAMA2_13B)):
    _publish(f"llama2-{_size}-pure", f"meta-llama/Llama-2-{_size}-hf", "llama2", _shape, template="pure")
    _publish(f"llama2-{_size}-chat", f"meta-llama/Llama-2-{_size}-chat-hf", "llama2", _shape, template="llama2-chat")
    _publish(f"vicuna-v15-{_size}", f"lmsys/vicuna-{_size}-v1.5", "llama2", _shape, template="vicuna")

_LLAMA3 = "meta-llama/Meta-Llama-3"
_publish("llama3-8b-pure", f"{_LLAMA3}-8B", "llama3", shapes.LLAMA3_8B, template="pure")
_publish("llama3-8b-chat", f"{_LLAMA3}-8B-Instruct", "llama3", shapes.LLAMA3_8B, template="llama3-chat")
_publish(
    "llama3.1-8b-chat",
    f"{_LLAMA3}.1-8B-Instruct",
    "llama3.1",
    shapes.LLAMA31_8B,
    template="llama3-chat",
    reference="llama3.1",
)
_publish("qwen2.5-3b-instruct", "Qwen/Qwen2.5-3B-Instruct", "qwen2", shapes.QWEN25_3B, template="qwen2")
_publish("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct", "qwen2", shapes.QWEN25_7B, template="qwen2")
