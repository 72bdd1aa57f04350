"""What tells one base from another without reading all of it: names, shapes, types, and a few bytes of every tensor.

A base of 50 GB has a thousand tensors: 4 MB are read.  How tensors are spread over files makes no difference.
"""

import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from merv.backbones.llm.files import WEIGHTS, shards_of
from merv.errors import CheckpointError, ConfigError

SAMPLE = 4096
"""Bytes looked at in the middle of each tensor."""
BLOCKS = 256
"""Places looked at in a file that is no safetensors."""
LONGEST_HEADER = 100_000_000
"""Bytes; safetensors allows no more."""


class Stored(NamedTuple):
    """A tensor in a file."""

    file: Path
    dtype: str
    """As safetensors calls it: F32, BF16."""
    shape: tuple[int, ...]
    start: int
    """Of its bytes in the file."""
    end: int


def base_fingerprint(folder: Path) -> str:
    """16 hexadecimal digits that differ for bases that differ.

    Args:
        folder: a model's, in the published layout.

    Raises:
        ConfigError: it holds no weights.
        CheckpointError: a file of weights is damaged.
    """
    found = sha256()
    files = weight_files(folder)
    for name, stored in sorted(stored_tensors(files).items()):
        found.update(repr((name, stored.dtype, stored.shape)).encode())
        found.update(_middle(stored))
    for file in files:
        if file.suffix != ".safetensors":
            found.update(_blocks(file))
    return found.hexdigest()[:16]


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights, its index aside.

    Raises:
        ConfigError: there are none.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [folder / shard for shard in shards_of(folder / name) or [name]]
    raise ConfigError(f"{folder} holds no weights (none of {', '.join(WEIGHTS)}); name a model's folder")


def stored_tensors(files: list[Path]) -> dict[str, Stored]:
    """Where the tensors of safetensors files are, by name; none of them is read.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    return {name: stored for file in files if file.suffix == ".safetensors" for name, stored in _header(file).items()}


def _header(file: Path) -> dict[str, Stored]:
    try:
        with file.open("rb") as opened:
            [length] = struct.unpack("<Q", opened.read(8))
            if length > LONGEST_HEADER:
                raise ValueError("its header is too long")
            header: dict[str, Any] = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        first = 8 + length
        found = {
            name: Stored(file, said["dtype"], tuple(said["shape"]), *(first + at for at in said["data_offsets"]))
            for name, said in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise CheckpointError(f"{file} cannot be read: {error}; download it again") from error
    if any(stored.end > file.stat().st_size for stored in found.values()):
        raise CheckpointError(f"{file} is cut off: it lists tensors beyond its end; download it again")
    return found


def _middle(stored: Stored) -> bytes:
    length = min(SAMPLE, stored.end - stored.start)
    with stored.file.open("rb") as file:
        file.seek(stored.start + (stored.end - stored.start - length) // 2)
        return file.read(length)


def _blocks(file: Path) -> bytes:
    """The size of a file and blocks spread over it."""
    try:
        size = file.stat().st_size
        pieces = [str(size).encode()]
        with file.open("rb") as opened:
            for at in range(BLOCKS):
                opened.seek(at * size // BLOCKS)
                pieces.append(opened.read(SAMPLE))
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}; download it again") from error
    return b"".join(pieces)
