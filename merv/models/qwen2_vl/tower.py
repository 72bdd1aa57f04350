"""A Qwen2-VL's vision tower, faster: frames of one size attend as a batch, and patches are projected by a matrix.

The tower attends within each time step.  Without flash-attention transformers goes through the steps one by one: 75
small attentions a layer for a clip of 150 frames.  Its patches go through a convolution as wide as they are, which is
the same product by a slower road.  Weights and results are those of transformers.
"""

from functools import cache
from itertools import groupby
from typing import Any

from torch import Tensor, cat, nn
from torch.nn.functional import linear, scaled_dot_product_attention

NAME = "merv_flash_frames"
"""transformers gives lengths instead of splitting to attentions whose name says flash."""


def speed_up(tower: Any) -> None:
    """Let a vision tower take the faster roads; flash-attention, where it is asked for, stays."""
    tower.patch_embed = PatchProjection(tower.patch_embed.proj)
    if tower.config._attn_implementation == "sdpa":
        _register()
        tower.config._attn_implementation = NAME


class PatchProjection(nn.Module):
    """Patches to embeddings.  The convolution holds the weights, under the published name."""

    def __init__(self, proj: nn.Conv3d) -> None:
        """Take over a convolution whose kernel is as large as its stride."""
        super().__init__()
        self.proj = proj

    def forward(self, patches: Tensor) -> Tensor:
        """(P, values of a patch) -> (P, D)."""
        weight = self.proj.weight.flatten(1)
        return linear(patches.to(weight.dtype), weight, self.proj.bias)


def frame_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    cu_seq_lens_q: Tensor,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed row of frames, each to itself.  (1, H, S, D) -> (1, S, H, D)."""
    lengths = cu_seq_lens_q.diff().tolist()
    parts, start = [], 0
    for length, run in groupby(lengths):
        count = len(list(run))
        stretch = slice(start, start + count * length)
        q, k, v = (t[0, :, stretch].unflatten(1, (count, length)).transpose(0, 1) for t in (query, key, value))
        found = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        parts.append(found.transpose(1, 2).flatten(0, 1))
        start = stretch.stop
    return cat(parts)[None], None


@cache
def _register() -> None:
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, frame_attention)
