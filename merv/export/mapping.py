"""The table between tensors of a Hugging Face model and of megatron-core's GPTModel, and how ranks share them.

Names and layouts are those of GPTModel with the layers of `get_gpt_layer_local_spec`: a fused QKV holds, for each
group of keys and values, the queries of the group and then its key and value; the MLP's first layer holds gate and up.
https://github.com/NVIDIA/Megatron-LM/tree/main/megatron/core
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from merv.export.sizes import Sizes

Kind = Literal["copy", "qkv", "gate_up"]
"""How a tensor of GPTModel comes of its sources: as it is, fused by group, or one below the other."""
Split = Literal["rows", "columns", "vocabulary", "whole"]
"""What a rank of tensor parallelism holds of it: rows, columns, rows of a padded vocabulary, or all."""
Stage = Literal["first", "each", "last"]
"""The stages of a pipeline that hold it; `each` stage has its own layers."""


@dataclass(frozen=True)
class Rule:
    """One line of the table; `{layer}` stands for a number."""

    megatron: str
    sources: tuple[str, ...]
    """Names in the Hugging Face model, behind the prefix of its language model."""
    shape: Callable[[Sizes], tuple[int, ...]]
    """Of the whole tensor, before the vocabulary is padded."""
    kind: Kind = "copy"
    split: Split = "whole"
    stage: Stage = "each"
    only: Callable[[Sizes], bool] = lambda sizes: True
    """Models that have it."""


def _named(*names: str, under: str, what: str = "weight") -> tuple[str, ...]:
    return tuple(f"layers.{{layer}}.{under}.{name}_proj.{what}" for name in names)


TABLE = (
    Rule(
        "embedding.word_embeddings.weight",
        ("embed_tokens.weight",),
        lambda s: (s.vocab_size, s.hidden_size),
        split="vocabulary",
        stage="first",
    ),
    Rule(
        "decoder.layers.{layer}.input_layernorm.weight",
        ("layers.{layer}.input_layernorm.weight",),
        lambda s: (s.hidden_size,),
    ),
    Rule(
        "decoder.layers.{layer}.self_attention.linear_qkv.weight",
        _named("q", "k", "v", under="self_attn"),
        lambda s: (s.qkv_size, s.hidden_size),
        kind="qkv",
        split="rows",
    ),
    Rule(
        "decoder.layers.{layer}.self_attention.linear_qkv.bias",
        _named("q", "k", "v", under="self_attn", what="bias"),
        lambda s: (s.qkv_size,),
        kind="qkv",
        split="rows",
        only=lambda s: s.has_qkv_bias,
    ),
    Rule(
        "decoder.layers.{layer}.self_attention.linear_proj.weight",
        _named("o", under="self_attn"),
        lambda s: (s.hidden_size, s.num_heads * s.head_dim),
        split="columns",
    ),
    Rule(
        "decoder.layers.{layer}.pre_mlp_layernorm.weight",
        ("layers.{layer}.post_attention_layernorm.weight",),
        lambda s: (s.hidden_size,),
    ),
    Rule(
        "decoder.layers.{layer}.mlp.linear_fc1.weight",
        _named("gate", "up", under="mlp"),
        lambda s: (2 * s.ffn_size, s.hidden_size),
        kind="gate_up",
        split="rows",
    ),
    Rule(
        "decoder.layers.{layer}.mlp.linear_fc2.weight",
        _named("down", under="mlp"),
        lambda s: (s.hidden_size, s.ffn_size),
        split="columns",
    ),
    Rule("decoder.final_layernorm.weight", ("norm.weight",), lambda s: (s.hidden_size,), stage="last"),
)
HEAD = "output_layer.weight"
STATES = ("self_attention.linear_proj", "self_attention.linear_qkv", "mlp.linear_fc1", "mlp.linear_fc2")
"""Modules of a layer for which GPTModel's strict loading asks for an entry `_extra_state`, which is None."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a model: a line of the table with its layer's number."""

    name: str
    """In a GPTModel that holds all layers."""
    sources: tuple[str, ...]
    """Names in the Hugging Face model, complete."""
    shape: tuple[int, ...]
    kind: Kind
    split: Split
    stage: Stage
    layer: int | None = None


def entries(sizes: Sizes, prefix: str) -> Iterator[Entry]:
    """Every tensor of the language model.

    Args:
        sizes: of the model.
        prefix: of its language model's names, such as `model.` or `model.language_model.`.
    """
    for rule in TABLE:
        if rule.only(sizes):
            for layer in range(sizes.num_layers) if rule.stage == "each" else [None]:
                names = tuple(prefix + source.format(layer=layer) for source in rule.sources)
                name = rule.megatron.format(layer=layer)
                yield Entry(name, names, rule.shape(sizes), rule.kind, rule.split, rule.stage, layer)
    if not sizes.tied:
        yield Entry(HEAD, ("lm_head.weight",), (sizes.vocab_size, sizes.hidden_size), "copy", "vocabulary", "last")


def fuse(entry: Entry, tensors: Sequence[Tensor], sizes: Sizes) -> Tensor:
    """The tensor of GPTModel made of its sources."""
    if entry.kind == "qkv":
        # (groups x n, ...) -> (groups, n, ...): a group's queries stand together already, in the order of the heads.
        by_group = [tensor.unflatten(0, (sizes.num_groups, -1)) for tensor in tensors]
        return torch.cat(by_group, dim=1).flatten(0, 1)
    return torch.cat(list(tensors)) if entry.kind == "gate_up" else tensors[0]


def unfuse(entry: Entry, tensor: Tensor, sizes: Sizes) -> list[Tensor]:
    """The sources of a tensor of GPTModel, in the order the entry names them."""
    if entry.kind == "qkv":
        queries = sizes.num_heads // sizes.num_groups * sizes.head_dim
        by_group = tensor.unflatten(0, (sizes.num_groups, -1))
        parts = by_group.split([queries, sizes.head_dim, sizes.head_dim], dim=1)
        return [part.flatten(0, 1) for part in parts]
    return list(tensor.chunk(2)) if entry.kind == "gate_up" else [tensor]


def take_part(entry: Entry, whole: Tensor, rank: int, tp: int, padded_vocab_size: int) -> Tensor:
    """What rank `rank` of `tp` holds of a whole tensor; rows beyond the vocabulary are zeros."""
    if entry.split == "whole":
        return whole
    if entry.split == "columns":
        return whole.chunk(tp, dim=1)[rank]
    if entry.kind == "gate_up":  # each rank has its rows of the gate, then its rows of up
        return torch.cat([half.chunk(tp)[rank] for half in whole.chunk(2)])
    if entry.split == "vocabulary":
        whole = torch.cat([whole, whole.new_zeros(padded_vocab_size - len(whole), whole.shape[1])])
    return whole.chunk(tp)[rank]


def join_parts(entry: Entry, parts: Sequence[Tensor]) -> Tensor:
    """The whole tensor of what the ranks hold, in their order; the rows that padded a vocabulary are cut off."""
    if entry.split == "whole":
        return parts[0]
    if entry.split == "columns":
        return torch.cat(list(parts), dim=1)
    if entry.kind == "gate_up":
        gates, ups = zip(*(part.chunk(2) for part in parts), strict=True)
        return torch.cat([*gates, *ups])
    whole = torch.cat(list(parts))
    return whole[: entry.shape[0]] if entry.split == "vocabulary" else whole
