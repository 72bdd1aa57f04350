"""Weights into a Megatron checkpoint, into another layout of one, and back into a Hugging Face folder."""

from collections.abc import Iterable
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from merv.export.gpt import args_of
from merv.export.hf_folder import Weights
from merv.export.hf_writing import cast, copy_small, write_weights
from merv.export.mapping import unfuse
from merv.export.megatron_files import ASIDE, ITERATION, TRACKER, VISION, Layout, on_stage, rank_state
from merv.space import check_space, replaced

CHECKPOINT_VERSION = 3.0
"""Megatron's number for queries, keys and values fused by group."""


def write_megatron(
    source: Weights, out: Path, layout: Layout, *, dtype: torch.dtype | None = None, overwrite: bool = False
) -> None:
    """Write a checkpoint; a rank's shard is in memory at a time.

    Args:
        source: the weights; those of another checkpoint are laid out anew.
        out: folder to write, by one rename.
        layout: over how many ranks.
        dtype: of the tensors; None keeps theirs.
        overwrite: whether to replace a folder that is there.

    Raises:
        ConfigError: the layout does not divide the model, `out` is there, or the disk is too small.
        CheckpointError: the source is damaged.
    """
    hf = source.hf
    hf.sizes.check_divides(layout.tp, layout.pp)
    with replaced(out, overwrite) as folder:
        vision = {name: cast(tensor, dtype, name) for name, tensor in source.vision().items()}
        check_space(out, num_bytes(source, layout, dtype or source.dtype, vision))
        iteration = folder / f"iter_{ITERATION:07d}"
        for stage, rank in layout.ranks():
            state = {
                "model": rank_state(source, stage, rank, layout, dtype),
                "args": args_of(hf, layout, dtype or source.dtype),
                "checkpoint_version": CHECKPOINT_VERSION,
                "iteration": ITERATION,
            }
            if vision and stage == 0:
                state[VISION] = vision
            file = iteration / layout.file(stage, rank)
            file.parent.mkdir(parents=True)
            torch.save(state, file)
        hf.lay_aside(folder / ASIDE)
        (folder / TRACKER).write_text(str(ITERATION))


def write_hf(source: Weights, out: Path, *, dtype: torch.dtype | None = None, overwrite: bool = False) -> None:
    """Write a Hugging Face folder, with the names and files its model had.

    Args:
        source: the weights.
        out: folder to write, by one rename.
        dtype: of the tensors; None keeps theirs.
        overwrite: whether to replace a folder that is there.

    Raises:
        ConfigError: `out` is there, or the disk is too small.
        CheckpointError: the source is damaged.
    """
    hf = source.hf
    entry_of = {name: entry for entry in hf.entries for name in entry.sources}

    def tensors(names: Iterable[str]) -> dict[str, Tensor]:
        wanted, found = dict.fromkeys(names), dict[str, Tensor]()
        for entry in {entry_of[name].name: entry_of[name] for name in wanted if name in entry_of}.values():
            parts = unfuse(entry, source.tensor(entry), hf.sizes)
            found |= {name: part for name, part in zip(entry.sources, parts, strict=True) if name in wanted}
        if tower_names := [name for name in hf.vision if name in wanted]:
            tower = source.vision()
            found |= {name: tower[hf.vision_key(name)] for name in tower_names}
        return {name: cast(tensor, dtype, name) for name, tensor in found.items()}

    with replaced(out, overwrite) as folder:
        check_space(out, num_bytes(source, Layout(divisible_by=1), dtype or source.dtype, source.vision()))
        copy_small(hf.folder, folder)
        write_weights(folder, {name: hf.files[name] for name in hf.wanted()}, tensors)


def num_bytes(source: Weights, layout: Layout, dtype: torch.dtype, vision: dict[str, Tensor]) -> int:
    """What the tensors of all ranks take."""
    sizes, count = source.hf.sizes, 0
    for stage in range(layout.pp):
        for _, entry in on_stage(source.hf.entries, sizes, stage, layout.pp):
            rows = entry.shape[0]
            if entry.split == "vocabulary":
                rows = sizes.padded_vocab_size(layout.divisible_by, layout.tp)
            copies = layout.tp if entry.split == "whole" else 1
            count += copies * rows * prod(entry.shape[1:])
    return count * dtype.itemsize + layout.tp * sum(tensor.nbytes for tensor in vision.values())
