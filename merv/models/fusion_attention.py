"""How well a learned query matches each encoder: the weights of MERV's cross-attention fusion."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QueryMatch(nn.Module):
    """The weights of one-head attention, in the state-dict layout of nn.MultiheadAttention.

    MERV throws the attention's own output away, so its value and output projections never learn.  They are buffers
    here: published weights load and are saved again, and nothing waits for their gradients.
    """

    def __init__(self, embed_dim: int, key_dim: int) -> None:
        super().__init__()
        self.q_proj_weight = nn.Parameter(torch.empty(embed_dim, embed_dim))
        self.k_proj_weight = nn.Parameter(torch.empty(embed_dim, key_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim))
        self.register_buffer("v_proj_weight", torch.zeros(embed_dim, key_dim))
        self.out_proj = nn.Module()
        self.out_proj.register_buffer("weight", torch.zeros(embed_dim, embed_dim))
        self.out_proj.register_buffer("bias", torch.zeros(embed_dim))
        nn.init.xavier_uniform_(self.q_proj_weight)
        nn.init.xavier_uniform_(self.k_proj_weight)
        self.register_load_state_dict_pre_hook(_split_joined_weight)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Query (1, embed_dim), keys (B, E, key_dim) -> (B, E) float32, rows sum to 1."""
        query_bias, key_bias, _ = self.in_proj_bias.chunk(3)
        query = F.linear(query, self.q_proj_weight, query_bias)
        keys = F.linear(keys, self.k_proj_weight, key_bias)
        scores = (keys @ query[0]) / math.sqrt(query.shape[-1])
        return scores.softmax(dim=-1, dtype=torch.float32)


def _split_joined_weight(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """nn.MultiheadAttention keeps its three matrices in one when keys are as wide as the query."""
    joined = state.pop(f"{prefix}in_proj_weight", None)
    if joined is not None:
        for name, weight in zip("qkv", joined.chunk(3), strict=True):
            state[f"{prefix}{name}_proj_weight"] = weight
