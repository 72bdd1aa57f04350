"""The index of a shard: what is in it, and where.

The first line of `000000.index.jsonl` is a header, each other line a row: `{"row": {...}, "bytes": [...]}`, the row as
it stands in the shard's JSON member, and for each of its media offset and size in the shard, or a list of those for a
folder of frames.
"""

import json
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from merv.errors import ConfigError

FORMAT = 1
REMEDY = "delete it and the shard is read for a new one, or convert again"


@dataclass(frozen=True)
class Header:
    """What is known of a shard."""

    shard: str
    """Its name."""
    size: int
    """Bytes of the shard."""
    sha256: str
    """Of its bytes; empty when nobody has read them all."""
    rows: int
    rows_sha256: str
    """Of the lines after the header."""
    numbers: Sequence[int]
    """Place of each row in the dataset the shards were made of; in the shard where nobody knows."""
    bad: Sequence[dict[str, Any]] = field(default_factory=list)
    """Samples that are no rows: their place in the shard, their name, and why."""
    format: int = FORMAT


@dataclass(frozen=True)
class Index:
    """An index that was read: the header, and where its lines are.  R rows."""

    path: Path
    header: Header
    starts: np.ndarray
    """(R,) int64: first byte of each line."""
    sizes: np.ndarray
    """(R,) int64: bytes of each line, its end included."""


def line_of(row: dict[str, Any], places: Sequence[Any]) -> bytes:
    """A row's line."""
    return json.dumps({"row": row, "bytes": places}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_index(path: Path, header: Header, lines: Iterable[bytes]) -> str:
    """Write an index, by one rename; gives the SHA-256 of the file."""
    digest, partial = sha256(), path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        for line in (json.dumps({**asdict(header), "numbers": list(header.numbers)}).encode() + b"\n", *lines):
            digest.update(line)
            file.write(line)
    os.replace(partial, path)
    return digest.hexdigest()


def read_index(path: Path) -> Index:
    """Read the header and find the lines; rows are parsed when they are asked for.

    Raises:
        ConfigError: the file is no index, or damaged.
    """
    first, newline, rest = path.read_bytes().partition(b"\n")
    try:
        facts = json.loads(first)
        header = Header(**{**facts, "numbers": array("q", facts["numbers"])})  # a list takes four times as much
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} is no index of a shard: its first line is no header; {REMEDY}") from error
    if header.format != FORMAT:
        raise ConfigError(f"{path} has format {header.format}, this merv reads {FORMAT}; convert again")
    ends = np.flatnonzero(np.frombuffer(rest, np.uint8) == ord("\n")).astype(np.int64) + 1
    if len(ends) != header.rows or sha256(rest).hexdigest() != header.rows_sha256:
        raise ConfigError(
            f"{path} is damaged: {len(ends)} whole rows of {header.rows}, or others than were written; {REMEDY}"
        )
    starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    return Index(path, header, starts + len(first) + len(newline), ends - starts)


def read_line(path: Path, start: int, size: int) -> dict[str, Any]:
    """One row of an index.

    Raises:
        ConfigError: the file is another than when it was read.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        found = json.loads(os.pread(handle, size, start))
        return {"row": found["row"], "bytes": found["bytes"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} was changed while its rows were in use; start again") from error
    finally:
        os.close(handle)
