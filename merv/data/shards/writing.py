"""Writes shards: tar files in WebDataset's convention, and beside each its index.

Rows that show the same files make one sample of the shard: its media once, and a JSON member with the row, or with the
list of rows.  A folder of frames becomes members `key.000000.jpg`, `key.000001.jpg` and so on, in order.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from merv.data.formats.messages import OWN
from merv.data.formats.messages_writing import row_of
from merv.data.sample import Sample
from merv.data.shards.index import Header, line_of, write_index
from merv.data.shards.members import Medium, content_of, medium_of
from merv.data.shards.naming import ROW, TAR, index_name
from merv.errors import SampleError

Rows = Sequence[tuple[int, Sample]]
"""Numbers in the dataset, and samples."""


@dataclass
class _Open:
    """The shard that is being written."""

    path: Path
    file: BinaryIO
    tar: tarfile.TarFile
    hashing: "_Hashing"
    lines: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class ShardWriter:
    """Writes samples into `000000.tar` and so on below a folder."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        """Write nothing yet.

        Args:
            folder: Where to.
            shard_bytes: A shard that would grow beyond is closed first; one sample may be larger.
        """
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.shards: list[dict[str, Any]] = []
        """Name, size, rows and checksums of each shard that is complete."""
        self._open: _Open | None = None

    def add(self, rows: Rows) -> list[tuple[int, Sample, str]]:
        """Write rows that show the same files; gives those that cannot be written, with the reason.

        Raises:
            SampleError: a medium is missing; nothing is written.
        """
        key, shown = f"{rows[0][0]:09d}", rows[0][1].media
        tags = [f".{place}" if len(shown) > 1 else "" for place in range(len(shown))]
        media = [medium_of(key + tag, ref) for tag, ref in zip(tags, shown, strict=True)]
        written: list[tuple[int, dict[str, Any]]] = []
        refused: list[tuple[int, Sample, str]] = []
        for number, sample in rows:
            try:
                row = row_of(sample, [medium.name for medium in media])
            except SampleError as error:
                refused.append((number, sample, str(error)))
                continue
            row[OWN] = {**row.get(OWN, {}), "row": number}
            written.append((number, row))
        if written:
            self._write(key, media, written)
        return refused

    def close(self) -> None:
        """Complete the last shard."""
        if self._open is None:
            return
        shard, self._open = self._open, None
        shard.tar.close()
        shard.file.close()
        digest, rows = shard.hashing.digest.hexdigest(), sha256(b"".join(shard.lines)).hexdigest()
        size, name = shard.path.stat().st_size, shard.path.name
        header = Header(name, size, digest, len(shard.lines), rows, shard.numbers)
        index = write_index(shard.path.with_name(index_name(name)), header, shard.lines)
        entry = {"name": name, "size": size, "rows": header.rows, "sha256": digest, "index_sha256": index}
        self.shards.append(entry)

    def _write(self, key: str, media: list[Medium], rows: list[tuple[int, dict[str, Any]]]) -> None:
        """One sample of the shard: its rows first, then its media."""
        content = [row for _, row in rows]
        text = json.dumps(content[0] if len(content) == 1 else content, ensure_ascii=False).encode()
        sizes = [len(text), *(member.size for medium in media for member in medium.members)]
        shard = self._shard(sum(map(room, sizes)))
        _add(shard, f"{key}.{ROW}", len(text), io.BytesIO(text))
        places = [_copy(shard, medium) for medium in media]
        for number, row in rows:
            shard.lines.append(line_of(row, places))
            shard.numbers.append(number)

    def _shard(self, num_bytes: int) -> _Open:
        """The shard to write so many bytes into; a new one where they would be too many."""
        if self._open is not None and self._open.tar.offset + num_bytes > self.shard_bytes:
            self.close()
        if self._open is None:
            path = self.folder / f"{len(self.shards):06d}{TAR}"
            file = path.open("wb")
            hashing = _Hashing(file)
            tar = tarfile.TarFile(fileobj=hashing, mode="w", format=tarfile.GNU_FORMAT)  # type: ignore[arg-type]
            self._open = _Open(path, file, tar, hashing)
        return self._open


def room(size: int) -> int:
    """Bytes a member of `size` bytes takes in a tar."""
    return tarfile.BLOCKSIZE * (1 + -(-size // tarfile.BLOCKSIZE))


class _Hashing:
    """A file to write to that knows the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.file.tell()


def _copy(shard: _Open, medium: Medium) -> list[Any]:
    """Write a medium; gives offset and size of it, or of each frame."""
    places = []
    for member in medium.members:
        with content_of(member) as file:
            places.append([_add(shard, member.name, member.size, file), member.size])
    return places if medium.is_folder else places[0]


def _add(shard: _Open, name: str, size: int, content: Any) -> int:
    """Write a member; gives the offset of its bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    header = len(info.tobuf(tarfile.GNU_FORMAT))
    offset = shard.tar.offset + header
    shard.tar.addfile(info, content)
    return offset
