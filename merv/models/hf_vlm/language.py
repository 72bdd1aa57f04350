"""The language model inside a vision-language model of transformers, driven by embeddings.

The model runs as far as its decoder, which is stopped and asked what it was given: visual tokens in their places and
their positions, whatever kind of model it is.
"""

from typing import Any

from torch import Tensor, nn

from merv.backbones.llm.base import LLM
from merv.backbones.llm.prompts import PromptTemplate
from merv.errors import ConfigError
from merv.models.prompted import Prompts

PLAIN = {"inputs_embeds", "attention_mask", "position_ids", "past_key_values", "use_cache", "cache_position"}
"""What a decoder may be given for embeddings, mask and positions to say all."""


class Language(LLM):
    """Decoder and head of a vision-language model; the answer ends where the model's own configs say."""

    def __init__(self, model: Any, tokenizer: Any, end_ids: list[int], *, max_length: int) -> None:
        super().__init__(model, tokenizer, PromptTemplate(), max_length=max_length)
        self._ends = end_ids

    @property
    def end_ids(self) -> list[int]:
        """Tokens an answer ends with."""
        return self._ends


class _Reached(Exception):
    """No error: the way out of the model."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given


def prompts_of(model: Any, inputs: dict[str, Tensor], mask: Tensor) -> Prompts:
    """What the decoder is given for left-padded prompts; every image and video is encoded once.

    Args:
        model: the transformers model.
        inputs: of its forward, without the mask.
        mask: (B, L) bool, False on padding.

    Raises:
        ConfigError: the decoder is given more than embeddings and positions.
    """
    decoder: nn.Module = model.get_decoder()

    def stop(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        assert not args, "transformers calls its decoders by keyword"
        raise _Reached(kwargs)

    handle = decoder.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.base_model(**inputs, attention_mask=mask.long(), use_cache=False)
    except _Reached as reached:
        given = reached.given
    else:
        raise AssertionError(f"{type(model).__name__} does not call its decoder")
    finally:
        handle.remove()
    more = sorted(name for name, value in given.items() if isinstance(value, Tensor | list) and name not in PLAIN)
    if more or not isinstance(given.get("attention_mask"), Tensor | None):
        what = ", ".join(more) or "a mask of its own"
        raise ConfigError(
            f"{type(model).__name__} hands its decoder {what} beside embeddings; answers that share one visual "
            "encoding cannot be sampled from it: choose a model such as Qwen2.5-VL, Aria or LLaVA"
        )
    positions = given.get("position_ids")
    if positions is not None and positions.ndim == 3:
        positions = positions[-3:]  # a fourth row counts tokens
    return Prompts(given["inputs_embeds"], mask, positions if positions is not None and positions.ndim == 3 else None)


def end_ids_of(model: Any, processor: Any) -> list[int]:
    """Tokens an answer ends with: those of the model's generation config, and of the turn's end in the template."""
    tokenizer = processor.tokenizer
    named = [model.generation_config.eos_token_id, getattr(model.config.get_text_config(), "eos_token_id", None)]
    ids = {tokenizer.eos_token_id}
    for value in named:
        ids |= set(value if isinstance(value, list) else [value])
    turns = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", "a"), ("assistant", "ANSWER"))
    ]
    tail = processor.apply_chat_template(turns, tokenize=False).rpartition("ANSWER")[2].strip()
    pieces = tokenizer(tail, add_special_tokens=False)["input_ids"] if tail else []
    if pieces and is_special(tokenizer, pieces[0]):
        ids.add(pieces[0])
    return sorted(token for token in ids if token is not None)


def is_special(tokenizer: Any, token: int) -> bool:
    """Whether a token is no text, whether or not the tokenizer has a name for what it is for."""
    added = tokenizer.added_tokens_decoder.get(token)
    return token in tokenizer.all_special_ids or (added is not None and added.special)


def check_head(model: Any) -> bool:
    """Whether logits are the head's product with the decoder's states, and nothing is done to them after."""
    text = model.config.get_text_config()
    changed = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
    return all(getattr(text, name, None) in (None, 1, 1.0) for name in changed)
