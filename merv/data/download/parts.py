"""The parts of a split archive as one file that can be read and sought, without a second copy on the disk."""

import io
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from merv.errors import ConfigError

NUMBERED = re.compile(r"(.+)\.(\d{2,3})")
"""`videos.tar.gz.00`, `valley_2.zip.001`."""


class Joined(io.RawIOBase):
    """Files one after the other."""

    def __init__(self, parts: Sequence[Path], read: Callable[[int], object] = lambda num_bytes: None) -> None:
        """Open none of them yet; `read` is told of bytes as they are read."""
        super().__init__()
        self._parts = list(parts)
        self._begins = [0, *accumulate(part.stat().st_size for part in parts)]
        self._read = read
        self._at = 0
        self._open: tuple[int, BinaryIO] | None = None

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self._begins[-1]

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Zip files are read from their end."""
        return True

    def tell(self) -> int:
        """The next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte of the whole."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill what one part can fill."""
        number = bisect_right(self._begins, self._at) - 1
        if self._at >= self.size:
            return 0
        if self._open is None or self._open[0] != number:
            self._shut()
            self._open = (number, self._parts[number].open("rb"))
        file = self._open[1]
        file.seek(self._at - self._begins[number])
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        self._at += count
        self._read(count)
        return int(count)

    def close(self) -> None:
        """Close the part that is open."""
        self._shut()
        super().close()

    def _shut(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Archives and the names of their parts, in order; one that is not split is its only part.

    Raises:
        ConfigError: a part is missing in between, or before the first.
    """
    numbered: dict[str, dict[int, str]] = {}
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        match = NUMBERED.fullmatch(name)
        if match is None:
            found[name] = [name]
        else:
            numbered.setdefault(match[1], {})[int(match[2])] = name
    for archive, parts in numbered.items():
        first = min(parts)
        lacking = next((number for number in range(min(first, 1), max(parts)) if number not in parts), None)
        if lacking is not None:
            listed = ", ".join(Path(parts[number]).suffix for number in sorted(parts))
            raise ConfigError(f"{archive} comes in parts {listed}; part {lacking} is missing")
        found[archive] = [parts[number] for number in sorted(parts)]
    return found
