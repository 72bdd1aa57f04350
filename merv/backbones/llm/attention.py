"""Causal attention without a mask, and without asking the device whether one is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

NAME = "merv_causal"


@contextmanager
def causal_without_mask(config: Any) -> Iterator[None]:
    """Within it a decoder with this config and SDPA attention makes no mask: every position sees those before it.

    transformers would look whether position ids start anew, and wait for the device to tell; an attention it has no
    mask function for is spared that.  Models that look back through a window keep their masks.
    """
    before = config._attn_implementation
    if before != "sdpa" or not _sees_everything(config):
        yield
        return
    _register()
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _sees_everything(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return all(kind == "full_attention" for kind in kinds)
    return getattr(config, "sliding_window", None) is None


@cache
def _register() -> None:
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    AttentionInterface.register(NAME, sdpa_attention_forward)
