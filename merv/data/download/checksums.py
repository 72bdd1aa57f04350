"""SHA256SUMS: a line for each file, as `sha256sum` writes and checks them."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from merv.errors import ConfigError

SUMS = "SHA256SUMS"
CHUNK = 1 << 20
LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")


@dataclass
class Verdict:
    """What became of files since their checksums were written."""

    num_files: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def file_sum(path: Path, add: Callable[[int], object] = lambda _: None) -> str:
    """SHA-256 of a file; `add` is told of bytes as they are read."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
            add(len(chunk))
    return hasher.hexdigest()


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write the checksums of files below `folder`, sorted by path, in one step."""
    partial = folder / f".{SUMS}.part"
    with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.writelines(_line(path, sums[path]) for path in sorted(sums))
    os.replace(partial, folder / SUMS)


def read_sums(folder: Path) -> dict[str, str]:
    """The checksums written for a folder, by path below it.

    Raises:
        ConfigError: there are none, or a line of another shape.
    """
    file = folder / SUMS
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except FileNotFoundError as error:
        raise ConfigError(f"{file} is missing: nothing was downloaded there, or not to its end") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is not None:
            sums[_unescaped(match[3]) if match[1] else match[3]] = match[2]
        elif line:
            raise ConfigError(f"{file}:{number} is no line of checksum and path: {line[:80]!r}")
    return sums


def verify(folder: Path, add: Callable[[int], object] = lambda _: None) -> Verdict:
    """Compare every file of the list with its checksum.

    Raises:
        ConfigError: there is no list.
    """
    verdict = Verdict()
    for path, expected in read_sums(folder).items():
        verdict.num_files += 1
        file = folder / path
        if not file.is_file():
            verdict.missing.append(path)
        elif file_sum(file, add) != expected:
            verdict.changed.append(path)
    return verdict


def _line(path: str, digest: str) -> str:
    if "\n" in path or "\\" in path:
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {path}\n"


def _unescaped(path: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], path)
