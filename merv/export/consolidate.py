"""The shards of a checkpoint read into a model, in one process whatever number of processes wrote them."""

from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

from merv.errors import CheckpointError
from merv.export.hf_writing import cast
from merv.training.checkpoint import PARTIAL, TRAINED_ONLY, latest_checkpoint
from merv.training.safe_metadata import SafeReader

_MODEL = "model."
"""What a checkpoint puts before the names of the model's tensors; the optimiser's have another word."""


def find_checkpoint(path: Path) -> tuple[Path, Path]:
    """The run and its checkpoint.

    Args:
        path: the folder of a run, whose newest checkpoint is meant, or of one checkpoint.

    Raises:
        CheckpointError: there is none, or it is incomplete.
    """
    if not path.is_dir():
        raise CheckpointError(f"there is no folder {path}; name a run, or one of its checkpoints/step-*")
    if (path / "config.yaml").is_file():
        found = latest_checkpoint(path / "checkpoints")
        if found is None:
            raise CheckpointError(f"{path} has no complete checkpoint in checkpoints/; train on with its --run_id")
        return path, found
    checkpoint = path.resolve()
    run = checkpoint.parents[1]
    if checkpoint.parent.name != "checkpoints" or not (run / "config.yaml").is_file():
        raise CheckpointError(
            f"{path} is no checkpoint of a run: no config.yaml stands above it; name runs/<run_id>/checkpoints/step-*"
        )
    if checkpoint.name.endswith(PARTIAL) or not (checkpoint / ".metadata").is_file():
        raise CheckpointError(
            f"{path} is incomplete: its writing was interrupted; name another of {checkpoint.parent}"
        )
    return run, checkpoint


def read_trained(checkpoint: Path, model: nn.Module) -> None:
    """Bring what learnt to a checkpoint; what is frozen stays as it is.

    Args:
        checkpoint: its folder.
        model: laid out as for the stage that wrote it, adapters and all; what learns has requires_grad.

    Raises:
        CheckpointError: it is incomplete, damaged, or of another model.
    """
    reader = SafeReader(checkpoint)
    index = reader.read_metadata()
    _check_files(index, checkpoint)
    state = get_model_state_dict(model, options=TRAINED_ONLY)
    _check_names(index, {name: tensor.shape for name, tensor in state.items()}, checkpoint)  # type: ignore[union-attr]
    try:
        dcp.load({"model": state}, storage_reader=reader, no_dist=True)
    except (OSError, CheckpointException, RuntimeError, ValueError, EOFError) as error:
        raise CheckpointError(f"{checkpoint} cannot be read: {_first_line(error)}; name another one") from error
    set_model_state_dict(model, state, options=TRAINED_ONLY)


def turn(model: nn.Module, dtype: torch.dtype | None) -> None:
    """Turn a model's numbers to another type; None keeps them.

    Raises:
        ConfigError: float16 has no room for one.
    """
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        tensor.data = cast(tensor.data, dtype, name)


def _check_files(index: Metadata, checkpoint: Path) -> None:
    wanted = {stored.relative_path for stored in (index.storage_data or {}).values()}
    lacking = sorted(name for name in wanted if not (checkpoint / name).is_file())
    if lacking:
        raise CheckpointError(
            f"{checkpoint} is incomplete: it lacks {lacking[0]}, of {len(wanted)} files; copy those of all machines "
            "into one folder"
        )


def _check_names(index: Metadata, own: dict[str, torch.Size], checkpoint: Path) -> None:
    found = {
        name.removeprefix(_MODEL): tuple(entry.size)
        for name, entry in index.state_dict_metadata.items()
        if name.startswith(_MODEL) and isinstance(entry, TensorStorageMetadata)
    }
    for name in sorted(own.keys() | found.keys()):
        here = tuple(own[name]) if name in own else "nothing"
        there = found.get(name, "nothing")
        if here != there:
            raise CheckpointError(
                f"{checkpoint} is of another model or stage than its config.yaml says: `{name}` is {there} there, "
                f"{here} here"
            )


def _first_line(error: BaseException) -> str:
    if isinstance(error, CheckpointException) and error.failures:
        cause = next(iter(error.failures.values()))[0]
        return f"{type(cause).__name__}: {cause}".splitlines()[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]
