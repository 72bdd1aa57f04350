"""Brings shards from a URL to the disk: once a machine, whole, with their checksum compared.

Whichever process needs a shard first holds its lock and fetches it, the others wait.  What a killed process left is
continued.  http(s) needs nothing; other protocols go through fsspec (https://filesystem-spec.readthedocs.io), which
names the package that each of them needs.
"""

import fcntl
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merv.data.download.checksums import file_sum
from merv.data.shards.naming import TAR
from merv.errors import ConfigError, SampleError
from merv.space import GIGABYTE, check_space

TRIES = 3
TIMEOUT_S = 60.0
WAIT_S = 1.0
"""Seconds before the second try; twice as many before the third."""
CHUNK = 1 << 20
GONE = (401, 403, 404, 410)
"""Answers that another try would not change."""


class NotThereError(ConfigError):
    """The address is served, and nothing is there."""


@dataclass(frozen=True)
class Remote:
    """A shard at a URL."""

    url: str
    size: int
    sha256: str
    cache_gb: float | None = None
    """Gigabytes of 10^9 bytes the cache may hold; None for no limit."""

    def bring(self, path: Path) -> None:
        """Fetch the shard unless it is there.

        Raises:
            SampleError: it cannot be fetched.
        """
        try:
            self.fetch(path)
        except ConfigError as error:
            raise SampleError(str(error)) from error

    def fetch(self, path: Path) -> None:
        """Fetch the shard unless it is there, and make room for it in the cache.

        Raises:
            ConfigError: it cannot be fetched.
        """
        if not path.exists():
            fetch(self.url, path, size=self.size, sha256=self.sha256)
        elif self.cache_gb is not None:
            os.utime(path)  # the cache drops what was longest not used
        if self.cache_gb is not None:
            make_room(path.parent, self.cache_gb, keep=path)


def fetch(url: str, path: Path, *, size: int | None = None, sha256: str = "") -> None:
    """Fetch a file unless it is there; it appears by one rename.

    Args:
        url: Where it is.
        path: Where it goes.
        size: Bytes it has; None when nobody knows.
        sha256: Its checksum; empty when nobody knows.

    Raises:
        NotThereError: there is no such file.
        ConfigError: it cannot be reached, breaks off again and again, or has another checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path):
        if path.exists():
            return
        partial = path.with_name(path.name + ".partial")
        if size is not None:
            check_space(path.parent, size - (partial.stat().st_size if partial.exists() else 0))
        _download(url, partial, size)
        if sha256:
            found = file_sum(partial)
            if found != sha256:
                partial.unlink()
                raise ConfigError(
                    f"{url} has checksum {found[:12]}, not {sha256[:12]} as its index says; upload again"
                )
        os.replace(partial, path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within it this process alone makes `path`; a process that ends lets go."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a process forked meanwhile has the file open, too


def read_url(url: str) -> bytes:
    """What is at a URL, for small files.

    Raises:
        NotThereError: there is nothing.
        ConfigError: it cannot be reached.
    """
    return _again(url, lambda: _read(url))


def make_room(folder: Path, cache_gb: float, *, keep: Path) -> None:
    """Delete shards that were longest not used until a folder has no more than `cache_gb` of them."""
    with locked(folder / "room"):
        found = [(entry.stat(), Path(entry.path)) for entry in os.scandir(folder) if entry.name.endswith(TAR)]
        total = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda shard: shard[0].st_mtime):
            if total <= cache_gb * GIGABYTE:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= status.st_size


def _download(url: str, partial: Path, size: int | None) -> None:
    def attempt() -> None:
        start = partial.stat().st_size if partial.exists() else 0
        if size is not None and start == size:
            return
        with _opened(url, start) as (source, begun), partial.open("ab" if begun else "wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        found = partial.stat().st_size
        if size is not None and found < size:
            raise OSError(f"the connection broke off at byte {found} of {size}")
        if size is not None and found > size:
            partial.unlink()
            raise ConfigError(f"{url} has {found} bytes, its index says {size}; upload both again")

    _again(url, attempt)


def _again(url: str, attempt: Any) -> Any:
    """Try several times; what cannot get better is told at once."""
    for number in range(1, TRIES + 1):
        try:
            return attempt()
        except ConfigError:
            raise
        except FileNotFoundError as error:
            raise NotThereError(f"{url} is not there") from error
        except urllib.error.HTTPError as error:
            if error.code in GONE:
                raise NotThereError(f"{url} cannot be had: the server answers {error.code} {error.reason}") from error
            reason = f"the server answers {error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (ImportError, ValueError) as error:  # a package is missing, a protocol unknown
            raise ConfigError(f"{url}: {' '.join(str(error).split())}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        if number < TRIES:
            time.sleep(WAIT_S * 2 ** (number - 1))
    raise ConfigError(f"{url} cannot be fetched: {' '.join(reason.split())} ({TRIES} tries); check the address")


def _read(url: str) -> bytes:
    with _opened(url, 0) as (source, _):
        return source.read()


@contextmanager
def _opened(url: str, start: int) -> Iterator[tuple[Any, bool]]:
    """What is at a URL from byte `start` on, and whether it does begin there and not at the beginning."""
    if url.split("://")[0] in ("http", "https"):
        headers = {"Range": f"bytes={start}-"} if start else {}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as source:
            yield source, source.status == http.HTTPStatus.PARTIAL_CONTENT
        return
    import fsspec

    with fsspec.open(url, "rb") as source:
        source.seek(start)
        yield source, start > 0
