"""A Megatron checkpoint of the format `torch`: a file for each rank, and the file that says which iteration is newest.

OUT/latest_checkpointed_iteration.txt
OUT/iter_0000001/mp_rank_<tp>[_<pp>]/model_optim_rng.pt   {"model", "args", "checkpoint_version", "iteration"}
OUT/huggingface/                                          config, tokenizer, processor, names: for the way back

Stage 0 of a vision-language model has one entry more, `vision_model`: the tower under its own names, whole on each
rank of tensor parallelism.  It stands beside `model`, which is a GPTModel's state and nothing else.
"""

import pickle
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from merv.errors import CheckpointError
from merv.export.hf_folder import HfFolder, Weights
from merv.export.hf_writing import cast
from merv.export.mapping import HEAD, STATES, Entry, join_parts, take_part
from merv.export.sizes import Sizes

TRACKER = "latest_checkpointed_iteration.txt"
FILE = "model_optim_rng.pt"
ITERATION = 1
ASIDE = "huggingface"
"""Folder in a checkpoint with what is not weights."""
VISION = "vision_model"
"""Entry with the vision tower, on the first stage."""


@dataclass(frozen=True)
class Layout:
    """How a model is laid out over ranks."""

    tp: int = 1
    """Ranks each matrix is split over."""
    pp: int = 1
    """Stages of layers, one after the other."""
    divisible_by: int = 128
    """A rank's rows of the vocabulary are padded to a multiple of it."""

    def ranks(self) -> Iterator[tuple[int, int]]:
        """Every (stage, rank of the stage)."""
        return ((stage, rank) for stage in range(self.pp) for rank in range(self.tp))

    def file(self, stage: int, rank: int) -> Path:
        """A rank's file, below the folder of the iteration."""
        name = f"mp_rank_{rank:02d}" + (f"_{stage:03d}" if self.pp > 1 else "")
        return Path(name) / FILE


def on_stage(entries: list[Entry], sizes: Sizes, stage: int, pp: int) -> Iterator[tuple[str, Entry]]:
    """What a stage of a pipeline holds: names in its GPTModel, where layers count from 0, and what they are."""
    per_stage = sizes.num_layers // pp
    for entry in entries:
        if entry.layer is not None and entry.layer // per_stage == stage:
            local = entry.layer % per_stage
            yield entry.name.replace(f"layers.{entry.layer}.", f"layers.{local}."), entry
        elif (entry.stage, stage) in (("first", 0), ("last", pp - 1)):
            yield entry.name, entry
    if sizes.tied and pp > 1 and stage == pp - 1:  # its own copy of the embeddings, which Megatron keeps equal
        yield HEAD, next(entry for entry in entries if entry.split == "vocabulary")


def rank_state(
    source: Weights, stage: int, rank: int, layout: Layout, dtype: torch.dtype | None = None
) -> dict[str, Any]:
    """The state of a rank's GPTModel, complete for strict loading.

    Args:
        source: of whole tensors.
        stage: of the pipeline.
        rank: of the stage.
        layout: the whole.
        dtype: of the tensors; None keeps that of the source.
    """
    sizes = source.hf.sizes
    padded = sizes.padded_vocab_size(layout.divisible_by, layout.tp)
    state: dict[str, Any] = {}
    for name, entry in on_stage(source.hf.entries, sizes, stage, layout.pp):
        part = take_part(entry, source.tensor(entry), rank, layout.tp, padded)
        state[name] = cast(part, dtype, entry.name).clone(memory_format=torch.contiguous_format)
    for layer in range(sizes.num_layers // layout.pp):
        state |= dict.fromkeys(f"decoder.layers.{layer}.{module}._extra_state" for module in STATES)
    if stage == layout.pp - 1:
        state["output_layer._extra_state"] = None
    return state


class MegatronWeights:
    """The weights of a checkpoint, joined tensor by tensor when they are asked for."""

    def __init__(self, folder: Path, hf: HfFolder) -> None:
        """Open the files of all ranks.

        Args:
            folder: of the checkpoint, with the file that names its newest iteration.
            hf: the model it is of.

        Raises:
            CheckpointError: there is no such checkpoint, a rank's file is missing or damaged, or it is of another
                model.
        """
        self.folder, self.hf = folder, hf
        iteration = newest(folder)
        if (iteration / ".metadata").is_file():
            raise CheckpointError(
                f"{iteration} is of Megatron's format torch_dist, which is not read; save it with --ckpt-format torch"
            )
        first = next(
            (path for path in iteration.glob(f"mp_rank_00*/{FILE}") if path.parent.name[10:] in ("", "_000")), None
        )
        if first is None:
            raise CheckpointError(f"{iteration} lacks mp_rank_00/{FILE}; copy the checkpoint again")
        self.args = _read(first)["args"]
        sizes = (getattr(self.args, f"{kind}_model_parallel_size", None) for kind in ("tensor", "pipeline"))
        tp, pp = (1 if size is None else size for size in sizes)
        divisible_by = getattr(self.args, "make_vocab_size_divisible_by", 128)
        self.layout = Layout(tp, pp, divisible_by)
        hf.sizes.check_divides(tp, pp)
        self._ranks = {place: _read(iteration / self.layout.file(*place)) for place in self.layout.ranks()}
        self._where = {
            entry.name: (stage, name)
            for stage in reversed(range(pp))  # of a tied copy, the first stage's is the embeddings
            for name, entry in on_stage(hf.entries, hf.sizes, stage, pp)
        }
        self.dtype = self.tensor(hf.entries[0]).dtype

    def tensor(self, entry: Entry) -> Tensor:
        """A whole tensor of GPTModel.

        Raises:
            CheckpointError: the checkpoint has none, or one of another shape.
        """
        stage, name = self._where[entry.name]
        states = [self._ranks[stage, rank]["model"] for rank in range(self.layout.tp)]
        if any(name not in state for state in states):
            raise CheckpointError(
                f"{self.folder} lacks `{name}` on stage {stage}; it is of another model, or layer spec"
            )
        whole = join_parts(entry, [state[name] for state in states])
        if whole.shape != entry.shape:
            raise CheckpointError(
                f"{self.folder} is of another model: `{entry.name}` is {tuple(whole.shape)} there, {entry.shape} by "
                "config.json"
            )
        return whole

    def vision(self) -> dict[str, Tensor]:
        """The vision tower, by its own names.

        Raises:
            CheckpointError: the model has one, and the checkpoint lacks some of it.
        """
        found = self._ranks[0, 0].get(VISION, {})
        lacking = [name for name in self.hf.vision if self.hf.vision_key(name) not in found]
        if lacking:
            raise CheckpointError(f"{self.folder} lacks `{lacking[0]}`, of {len(lacking)} tensors of the vision tower")
        return found


def newest(folder: Path) -> Path:
    """The folder of the newest iteration of a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    tracker = folder / TRACKER
    if not tracker.is_file():
        raise CheckpointError(
            f"{folder} is no Megatron checkpoint: it has no {TRACKER}; name the folder it was saved in"
        )
    word = tracker.read_text().strip()
    path = folder / (f"iter_{int(word):07d}" if word.isdecimal() else "release")
    if not (word.isdecimal() or word == "release") or not path.is_dir():
        raise CheckpointError(f"{tracker} names `{word}`, which is not there; copy the checkpoint again")
    return path


def _read(path: Path) -> dict[str, Any]:
    """One rank's file; nothing but tensors and plain values is unpickled."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; copy the checkpoint again")
    allowed = torch.serialization.get_safe_globals()  # megatron-core adds to them, and what is lent is taken back
    lent: list[Any] = [kind for kind in (Namespace,) if kind not in allowed]
    try:
        with torch.serialization.safe_globals(lent):
            found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        cause = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"{path} cannot be read as tensors and plain values: {cause}; save it with --ckpt-format torch "
            "--no-save-optim --no-save-rng"
        ) from error
    if not {"model", "args"} <= found.keys():
        raise CheckpointError(f"{path} has no entry `model` and `args`; pipelines with virtual stages are not read")
    return found
