"""The loss on words, where the rows of a batch may have different roles: some adapters have a head of their own."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from merv.backbones.llm.base import LLM
from merv.models.loss import summed_cross_entropy
from merv.models.qwen2_vl.adapters import speaking
from merv.models.qwen2_vl.batch import RoleBatch


def words_loss(llm: LLM, hidden: Tensor, batch: RoleBatch) -> Tensor:
    """Cross-entropy summed over a batch's target tokens, each by the head of its row's role.  (B, L, D) -> ()."""
    width = batch.labels.shape[1]
    rows, places = batch.targets // width, batch.targets % width
    states, words = hidden[rows, places - 1], batch.labels[rows, places]
    roles = sorted(set(batch.roles))
    losses = []
    for role in roles:
        own: Any = slice(None)
        if len(roles) > 1:
            own = torch.tensor([name == role for name in batch.roles], device=rows.device)[rows]
        head = partial(_logits, llm, role)
        losses.append(summed_cross_entropy(states[own], words[own], head, vocab_size=llm.vocab_size))
    return sum(losses[1:], start=losses[0])


def _logits(llm: LLM, role: str, hidden: Tensor) -> Tensor:
    """(N, D) -> (N, V); the backward pass may call it once more, whoever speaks by then."""
    with speaking(llm, [role]):
        return llm.logits(hidden)
