"""Prepared rows with some tensors a value for each token and others for media: cut, continued, joined."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from merv.data.sample import Example
from merv.models.collating import padded


def per_token(example: Example) -> set[str]:
    """Names of the tensors with a value for each token."""
    shape = example.input_ids.shape
    return {name for name, value in example.frames.items() if value.shape == shape and not value.is_floating_point()}


def of_media(example: Example) -> set[str]:
    """Names of the other tensors: pixels, and what belongs to them."""
    return set(example.frames) - per_token(example)


def cut(example: Example, length: int) -> Example:
    """The first so many tokens; media stay."""
    worded = per_token(example)
    frames = {name: value[:length] if name in worded else value for name, value in example.frames.items()}
    return replace(example, input_ids=example.input_ids[:length], labels=example.labels[:length], frames=frames)


def continued(row: Example, more: Example) -> Example:
    """One example behind the other."""
    frames: dict[str, Tensor] = {}
    worded = per_token(row) | per_token(more)
    for name in {**row.frames, **more.frames}:
        if name in worded:
            frames[name] = torch.cat([_for_each_token(example, name) for example in (row, more)])
        else:
            frames[name] = joined([example.frames[name] for example in (row, more) if name in example.frames])
    return replace(
        row,
        input_ids=torch.cat([row.input_ids, more.input_ids]),
        labels=torch.cat([row.labels, more.labels]),
        frames=frames,
    )


def collated(examples: Sequence[Example], width: int, pad: str) -> Mapping[str, Tensor]:
    """Tensors of several rows: those with a value for each token (B, width), zero on padding; the others joined."""
    worded = set().union(*(per_token(example) for example in examples))
    names = {name: None for example in examples for name in example.frames}
    return {
        name: torch.stack([padded(_for_each_token(example, name), width, 0, pad) for example in examples])
        if name in worded
        else joined([example.frames[name] for example in examples if name in example.frames])
        for name in names
    }


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """One after another along the first dimension; where the others differ, zeros fill up the smaller ones."""
    if len({tensor.shape[1:] for tensor in tensors}) == 1:
        return torch.cat(list(tensors))
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    whole = tensors[0].new_zeros(sum(len(tensor) for tensor in tensors), *shape)
    first = 0
    for tensor in tensors:
        whole[first : first + len(tensor)][(slice(None), *(slice(size) for size in tensor.shape[1:]))] = tensor
        first += len(tensor)
    return whole


def _for_each_token(example: Example, name: str) -> Tensor:
    found = example.frames.get(name)
    return torch.zeros_like(example.input_ids) if found is None else found
