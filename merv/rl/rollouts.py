"""Answers to prompts, sampled with the model of the moment, and the probability of every word of them.

Both go through `model.language`, driven by the same embeddings: what a clip shows is in both, and is encoded once for
all answers to a prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from merv.backbones.llm.base import counted, positions_to_generate
from merv.models.base import VideoLM
from merv.models.loss import token_log_probs
from merv.models.prompted import Prompts
from merv.rl.noise import warpers


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    batch_size: int = 64
    """Answers drawn at a time."""


@dataclass(frozen=True)
class Completions:
    """N answers of up to T tokens."""

    ids: Tensor
    """(N, T) int64, padded on the right."""
    present: Tensor
    """(N, T) bool: the tokens of each answer, the one that ends it included."""
    truncated: Tensor
    """(N,) bool: cut before they ended."""


def joined(prompts: Sequence[Prompts]) -> Prompts:
    """Prompts of several batches as one, padded on the left to the longest."""
    width = max(each.mask.shape[1] for each in prompts)
    gaps = [width - each.mask.shape[1] for each in prompts]
    pairs = list(zip(prompts, gaps, strict=True))
    positions: list[Tensor] = []
    if any(each.positions is not None for each in prompts):  # words alone may have been counted in one way
        found = [
            counted(each.mask).expand(3, -1, -1) if each.positions is None else each.positions for each in prompts
        ]
        positions = [pad(each, (gap, 0)) for each, gap in zip(found, gaps, strict=True)]
    return Prompts(
        torch.cat([pad(each.embeds, (0, 0, gap, 0)) for each, gap in pairs]),
        torch.cat([pad(each.mask, (gap, 0)) for each, gap in pairs]),
        torch.cat(positions, dim=1) if positions else None,
        tuple(role for each in prompts for role in each.roles),
    )


def sample_answers(model: VideoLM, prompts: Prompts, seeds: Sequence[int], sampling: Sampling) -> Completions:
    """Draw answers; `seeds` has one for each, those of a prompt one after the other."""
    each = len(seeds) // len(prompts.mask)
    parts = []
    for start in range(0, len(seeds), sampling.batch_size):
        chosen = seeds[start : start + sampling.batch_size]
        rows = torch.arange(start, start + len(chosen), device=prompts.mask.device) // each
        parts.append(_generate(model, _rows(prompts, rows), chosen, sampling))
    width = max(part.shape[1] for part in parts)
    filler = model.language.tokenizer.pad_token_id
    ids = torch.cat([pad(part, (0, width - part.shape[1]), value=filler) for part in parts])
    return _measured(ids, model.language.end_ids)


def completion_log_probs(
    model: VideoLM, prompts: Prompts, completions: Tensor, learned: Tensor, *, temperature: float
) -> Tensor:
    """Log-probability of the tokens of answers that are learned, row after row.  (N, T) int64, bool -> (M,) float32.

    Args:
        model: in whose `talking(prompts)` this runs.
        prompts: N of them, padded on the left.
        completions: the answers, padded on the right.
        learned: which of their tokens are asked for.
        temperature: logits are divided by it.
    """
    language, before = model.language, completions[:, :-1]  # nothing comes after the last token
    words = language.embed(before).to(prompts.embeds.dtype)
    mask = pad(prompts.mask, (0, before.shape[1]), value=True)  # padding on the right is never looked at
    hidden = language(torch.cat([prompts.embeds, words], dim=1), mask, _continued(prompts, before.shape[1]))
    states = hidden[:, prompts.mask.shape[1] - 1 :]
    return token_log_probs(
        states[learned],
        completions[learned],
        language.logits,
        vocab_size=language.vocab_size,
        temperature=temperature,
    )


def _generate(model: VideoLM, prompts: Prompts, seeds: Sequence[int], sampling: Sampling) -> Tensor:
    options: dict[str, Any] = {}
    if prompts.positions is not None:
        options["position_ids"] = positions_to_generate(prompts.mask, prompts.positions)
    with model.talking(prompts):
        ids = model.language.generate(
            prompts.embeds,
            prompts.mask,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            logits_processor=warpers(
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                seeds=seeds,
                device=prompts.mask.device,
            ),
            # What a published model sets for its users would bend the distribution.
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            num_beams=1,
            **options,
        )
    return ids.clone()  # what inference mode made cannot be learned from


def _rows(prompts: Prompts, rows: Tensor) -> Prompts:
    """Some of the prompts, as often as they are asked for, without the padding that all of them share."""
    mask = prompts.mask[rows]
    first = int(mask.any(0).int().argmax())
    positions = None if prompts.positions is None else prompts.positions[:, rows, first:]
    roles = tuple(prompts.roles[row] for row in rows.tolist()) if prompts.roles else ()
    return Prompts(prompts.embeds[rows, first:], mask[:, first:], positions, roles)


def _measured(ids: Tensor, end_ids: Sequence[int]) -> Completions:
    ends = torch.isin(ids, torch.tensor(list(end_ids), device=ids.device))
    ended = ends.cumsum(1) - ends.int()  # ends before this token
    return Completions(ids, ended == 0, ~ends.any(1))


def _continued(prompts: Prompts, more: int) -> Tensor | None:
    """Positions of prompts and of so many words behind them, which count on in all three ways."""
    if prompts.positions is None:
        return None
    counted = torch.arange(1, more + 1, device=prompts.positions.device)
    return torch.cat([prompts.positions, prompts.positions[:, :, -1:] + counted], dim=2)
