"""Reading a checkpoint's index without trusting it.

torch.distributed.checkpoint keeps its index as a pickle, which could run anything.  Here only the classes an index is
made of may be named, and only tensors may be listed.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata

from merv.errors import CheckpointError

ALLOWED = {
    "torch.distributed.checkpoint.metadata": {
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size", *(str(d).removeprefix("torch.") for d in vars(torch).values() if isinstance(d, torch.dtype))},
    "pathlib": {"Path", "PosixPath"},
    "pathlib._local": {"Path", "PosixPath"},
}


class _IndexUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise CheckpointError(f"the checkpoint's index names {module}.{name}, which no checkpoint of merv has")
        return super().find_class(module, name)


class SafeReader(FileSystemReader):
    """torch's reader of a checkpoint folder, with an index that can hold nothing but tensors."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """The index.

        Raises:
            CheckpointError: it is missing, damaged, or holds something else.
        """
        path = Path(self.path) / ".metadata"
        try:
            with path.open("rb") as file:
                metadata = _IndexUnpickler(file).load()
        except (OSError, EOFError, pickle.UnpicklingError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}; name another checkpoint") from error
        if not isinstance(metadata, Metadata):
            raise CheckpointError(f"{path} is no checkpoint index; name another checkpoint")
        for name, entry in metadata.state_dict_metadata.items():
            if not isinstance(entry, TensorStorageMetadata):
                raise CheckpointError(f"{path}: `{name}` is no tensor; checkpoints of merv hold nothing else")
        if metadata.storage_meta is not None:
            metadata.storage_meta.load_id = self.load_id
        return metadata

    def check(self, expected: Mapping[str, torch.Size], path: Path) -> None:
        """Compare the names and shapes of tensors with those of the model at hand.

        Raises:
            CheckpointError: they differ; the message names the first difference.
        """
        index = self.read_metadata().state_dict_metadata
        sizes = {name: entry.size for name, entry in index.items() if isinstance(entry, TensorStorageMetadata)}
        found = {name.split(".", 1)[1]: size for name, size in sizes.items()}  # without model. / optimizer.
        missing, strange = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        if missing or strange:
            example = f"it lacks `{missing[0]}`" if missing else f"it also has `{strange[0]}`"
            raise CheckpointError(
                f"{path} is of another model or stage: {len(missing)} tensors missing, {len(strange)} unknown; "
                f"{example}"
            )
        for name, shape in expected.items():
            if tuple(found[name]) != tuple(shape):
                raise CheckpointError(
                    f"{path} is of another model: `{name}` is {tuple(found[name])} there, {tuple(shape)} here"
                )
