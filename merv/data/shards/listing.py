"""From what a user names (a folder, a pattern, a URL) to shards with their indexes.

Of a folder that merv wrote, `index.json` lists the shards.  At a URL it has to be there, or the shards are named one
by one: over http nobody lists a folder.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from hashlib import sha256
from pathlib import Path
from typing import Any

from merv.data.download.checksums import file_sum
from merv.data.shards.fetch import NotThereError, Remote, fetch, locked, read_url
from merv.data.shards.index import Header, Index, read_index, write_index
from merv.data.shards.naming import INDEX, SET_INDEX, TAR, index_name
from merv.data.shards.rows import Shard
from merv.errors import ConfigError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
BRACES = re.compile(r"\{([^{}]*)\}")
NAME = 16
"""Letters of a checksum in the name of a file of the cache."""
Scan = Callable[[Path, str], tuple[Header, list[bytes]]]
"""Shard and checksum to the header and lines of its index."""


@dataclass(frozen=True)
class Listed:
    """A shard and its index."""

    shard: Shard
    index: Index
    folder: str
    """Folder or URL it was found in."""


def find_shards(named: str, *, cache: Path, cache_gb: float | None, scan: Scan, verify: bool) -> Iterator[Listed]:
    """The shards that are meant, in their order.

    Args:
        named: A folder, a shard, several by a pattern (`*`, `{000..017}`, `{a,b}`), or the same as a URL.
        cache: Folder of what was fetched, and of indexes of shards that came without.
        cache_gb: Gigabytes of shards the cache may hold; None for no limit.
        scan: Reads a shard that has no index.
        verify: Compare shards on the disk with their checksums.

    Raises:
        ConfigError: there is none, one is missing, cut short or damaged, or cannot be reached.
    """
    if URL.match(named):
        yield from _at_url(named, cache, cache_gb, scan)
        return
    for path in _paths(named):
        yield _on_disk(path, cache, scan, verify)


def expanded(pattern: str) -> list[str]:
    """What braces stand for: `{a,b}` each of them, `{008..010}` the numbers, as wide as they are written."""
    found = BRACES.search(pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", found[1])
    if numbers:
        width = len(numbers[1])
        choices = [f"{number:0{width}d}" for number in range(int(numbers[1]), int(numbers[2]) + 1)]
    else:
        choices = found[1].split(",")
    return [other for choice in choices for other in expanded(before + choice + after)]


def _paths(named: str) -> list[Path]:
    """Shards on the disk."""
    folder = Path(named)
    if folder.is_dir():
        listed = folder / SET_INDEX
        found = (
            [folder / entry["name"] for entry in _entries(listed.read_bytes(), str(listed))]
            if listed.is_file()
            else None
        )
        paths = sorted(folder.glob(f"*{TAR}")) if found is None else found
    else:
        each = [sorted(glob(name)) if has_magic(name) else [name] for name in expanded(named)]
        paths = [Path(name) for names in each for name in names]
    if not paths:
        raise ConfigError(f"{named} holds no shards: no *{TAR} there; name a folder, a pattern or a URL of shards")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(f"shard {missing[0]} is missing, of {len(paths)} that {named} names; copy it there")
    return paths


def _on_disk(path: Path, cache: Path, scan: Scan, verify: bool) -> Listed:
    beside, status = path.with_name(index_name(path.name)), path.stat()
    if beside.is_file():
        index = read_index(beside)
    else:
        stamp = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
        index = _scanned(path, cache / f"{_hash(stamp)}{INDEX}", "", scan)
    if status.st_size != index.header.size:
        raise ConfigError(
            f"shard {path} has {status.st_size} bytes, its index says {index.header.size}: cut short, or another; "
            "copy it again"
        )
    known = index.header.sha256
    if verify and known and file_sum(path) != known:
        raise ConfigError(
            f"shard {path} is damaged: its checksum is not {known[:12]}, as its index says; copy it again"
        )
    return Listed(Shard(path, known), index, str(path.parent))


def _at_url(named: str, cache: Path, cache_gb: float | None, scan: Scan) -> Iterator[Listed]:
    urls, known = expanded(named), dict[str, Any]()
    if urls[0].endswith(TAR):
        for folder in dict.fromkeys(url.rpartition("/")[0] for url in urls):
            known |= _listed_at(folder)
    else:
        for folder in urls:
            known |= _listed_at(folder.rstrip("/"))
        if not known:
            raise ConfigError(
                f"{named.rstrip('/')}/{SET_INDEX} is not there, and shards at a URL cannot be listed; name them: "
                f"{named.rstrip('/')}/{{000000..000009}}{TAR}"
            )
        urls = list(known)
    for url in urls:
        yield _fetched(url, known.get(url), cache, cache_gb, scan)


def _listed_at(folder: str) -> dict[str, dict[str, Any]]:
    """What the list of a folder says of its shards, by URL; nothing where there is no list."""
    address = f"{folder}/{SET_INDEX}"
    try:
        return {f"{folder}/{entry['name']}": entry for entry in _entries(read_url(address), address)}
    except NotThereError:
        return {}


def _fetched(url: str, entry: dict[str, Any] | None, cache: Path, cache_gb: float | None, scan: Scan) -> Listed:
    """A shard at a URL: its index is fetched, the shard only where there is none."""
    (folder, _, name), address = url.rpartition("/"), index_name(url)
    try:
        digest = entry["index_sha256"] if entry else None
        if digest is None:
            content = read_url(address)
            digest = sha256(content).hexdigest()
        path = cache / f"{digest[:NAME]}{INDEX}"
        fetch(address, path, sha256=digest)
        index = read_index(path)
    except NotThereError:
        shard = cache / f"{_hash(url)}-{name}"
        fetch(url, shard)
        index = _scanned(shard, cache / f"{_hash(url)}{INDEX}", file_sum(shard), scan)
        return Listed(Shard(shard, index.header.sha256), index, folder)
    header = index.header
    remote = Remote(url, header.size, header.sha256, cache_gb)
    return Listed(Shard(cache / f"{header.sha256[:NAME]}-{name}", header.sha256, remote), index, folder)


def _scanned(shard: Path, path: Path, digest: str, scan: Scan) -> Index:
    """The index of a shard that came without; it is made once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if not path.is_file():
            write_index(path, *scan(shard, digest))
    return read_index(path)


def _entries(content: bytes, where: str) -> list[dict[str, Any]]:
    """What a folder's list says of its shards."""
    try:
        entries = json.loads(content)["shards"]
        if all(Path(entry["name"]).name == entry["name"] and entry["index_sha256"] for entry in entries):
            return entries
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigError(f"{where} is damaged: it does not list shards; copy it again, or name the shards: *{TAR}")


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:NAME]
