"""One file over HTTP: in pieces where the connection breaks, hashed as it comes, under its name once it is whole."""

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from merv.data.download.listing import PLAIN, RemoteFile
from merv.errors import ConfigError
from merv.hub import one_line

ATTEMPTS = 5
"""Times in a row that may bring no byte before a file is given up."""
WAIT_S = 1.0
"""Seconds before the second attempt; each further one waits so much longer."""
CHUNK = 1 << 20
DIGITS = 12
"""Of the hash that tells parts of one version of a file from those of another."""
FULL = (errno.ENOSPC, errno.EDQUOT)
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be others a moment later."""


class StoppedError(Exception):
    """Another file failed, or somebody pressed Ctrl-C: this one ends, too."""


class BrokenError(Exception):
    """The connection ended before the file did; what came is kept."""


class Transfer:
    """Bytes of one file on their way into a part file beside its place."""

    def __init__(
        self, file: RemoteFile, target: Path, *, add: Callable[[int], None], stop: threading.Event, again: str
    ) -> None:
        """Nothing is asked yet.

        Args:
            file: what is fetched.
            target: its place once it is whole.
            add: is told of bytes as they come.
            stop: ends it when it is set.
            again: the command that goes on with it, for messages.
        """
        self.file, self.target = file, target
        self.part = part_of(target, file)
        self.have = 0
        self._add, self._stop, self._again = add, stop, again
        self._hasher = hashlib.sha256()

    def run(self) -> str:
        """Fetch what is missing; gives the file's SHA-256.

        Raises:
            ConfigError: refused, given up, another checksum, or a full disk; what came is kept, unless it is wrong.
            StoppedError: `stop` was set.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with self.part.open("ab+") as out:
                self._take_up(out)
                self._until_whole(out)
            digest = self._hasher.hexdigest()
            if self.file.sha256 is not None and digest != self.file.sha256:
                self.part.unlink()
                raise ConfigError(
                    f"{self.file.url} came with checksum {digest[:16]}..., expected {self.file.sha256[:16]}...; what "
                    f"came is deleted, to fetch it again: {self._again}"
                )
            os.replace(self.part, self.target)
            for other in self.target.parent.glob(f".{escape(self.target.name)}.{'[0-9a-f]' * DIGITS}.part"):
                other.unlink(missing_ok=True)  # of another version, which nobody will go on with
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise ConfigError(disk_full(self.part, self.have, self._again)) from error
        return digest

    def _take_up(self, out: BinaryIO) -> None:
        """Hash what an earlier run left; a part nobody can tell from another file's is begun again."""
        if self.file.size is None and not self.file.version and self.file.sha256 is None:
            out.truncate(0)
        out.seek(0)
        while chunk := out.read(CHUNK):
            self._count(chunk)
        if self.file.size is not None and self.have > self.file.size:
            self._begin_again(out)

    def _until_whole(self, out: BinaryIO) -> None:
        from huggingface_hub.errors import HTTPError

        fruitless = 0
        while self.file.size is None or self.have < self.file.size or not self.file.size:
            before = self.have
            try:
                self._receive(out)
                return
            except (BrokenError, HTTPError) as error:
                refusal = refused(self.file, error)
                if refusal is not None:
                    raise ConfigError(refusal) from error
                fruitless = 0 if self.have > before else fruitless + 1
                if fruitless >= ATTEMPTS:
                    raise ConfigError(self._given_up(error)) from error
                if self._stop.wait(WAIT_S * fruitless):
                    raise StoppedError from error

    def _receive(self, out: BinaryIO) -> None:
        """Take the rest of the file from one connection.

        Raises:
            BrokenError: it ended too early, or the server is busy.
        """
        from huggingface_hub import constants
        from huggingface_hub.utils import get_session, hf_raise_for_status

        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with get_session().stream("GET", self.file.url, headers=self._headers(), timeout=timeout) as reply:
            if reply.status_code in BUSY:
                raise BrokenError(f"status {reply.status_code}")
            if reply.status_code == 416:  # what is here is not the beginning of what is there
                self._begin_again(out)
                raise BrokenError("status 416")
            hf_raise_for_status(reply)
            self._check_reply(reply, out)
            for chunk in reply.iter_bytes():
                if self._stop.is_set():
                    raise StoppedError
                if self.file.size is not None and self.have + len(chunk) > self.file.size:
                    raise ConfigError(f"{self.file.url} sends more than the {self.file.size} bytes it should have")
                out.write(chunk)
                self._count(chunk)
            out.flush()
        if self.file.size is not None and self.have < self.file.size:
            raise BrokenError(f"{self.have} of {self.file.size} bytes came")

    def _headers(self) -> dict[str, str]:
        """Who asks, from which byte on, and for plain addresses: only of the file that was begun."""
        from huggingface_hub.utils import build_hf_headers

        headers = dict(PLAIN) if self.file.repo is None else {**build_hf_headers(), **PLAIN}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
            if self.file.repo is None and self.file.version.startswith('"'):
                headers["If-Range"] = self.file.version
        return headers

    def _check_reply(self, reply: Any, out: BinaryIO) -> None:
        """Whether it goes on where the part ends; a server that sends all of it is taken from the first byte."""
        etag = reply.headers.get("ETag", "")
        if self.file.repo is None and self.file.version and etag != self.file.version:
            raise ConfigError(f"{self.file.url} has changed since the download began; to fetch it: {self._again}")
        begins = reply.headers.get("Content-Range", "")
        if self.have and (reply.status_code != 206 or not begins.startswith(f"bytes {self.have}-")):
            if reply.status_code == 206:
                raise ConfigError(f"{self.file.url} was asked for bytes from {self.have} on and answers {begins!r}")
            self._begin_again(out)

    def _begin_again(self, out: BinaryIO) -> None:
        out.truncate(0)
        self._add(-self.have)
        self.have = 0
        self._hasher = hashlib.sha256()

    def _count(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        self.have += len(chunk)
        self._add(len(chunk))

    def _given_up(self, error: Exception) -> str:
        size = "unknown" if self.file.size is None else str(self.file.size)
        return (
            f"{self.file.url}: the connection broke {ATTEMPTS} times without a byte ({one_line(error)}); {self.have} "
            f"of {size} bytes are kept, to go on: {self._again}"
        )


def part_of(target: Path, file: RemoteFile) -> Path:
    """Where a file lies until it is whole; another version of it has another place."""
    said = f"{file.version or file.url} {file.size} {file.sha256 or ''}"
    return target.with_name(f".{target.name}.{hashlib.sha256(said.encode()).hexdigest()[:DIGITS]}.part")


def disk_full(path: Path, have: int, again: str) -> str:
    """The line about a disk without room in the middle of it."""
    return (
        f"{path.parent}: the disk is full after {have / 1e9:.2f} GB of {path.name}; what came is kept, make room, "
        f"then go on: {again}"
    )


def refused(file: RemoteFile, error: Exception) -> str | None:
    """The line about an answer that will not change by asking again; None for others."""
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    page = file.page or file.url
    if isinstance(error, GatedRepoError):
        return (
            f"{file.repo}: access is refused; accept the licence at {page} and log in (`hf auth login`, or HF_TOKEN)"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no repository {file.repo}, or it is private; log in (`hf auth login`) if it is yours"
    if isinstance(error, EntryNotFoundError):
        return f"there is no {file.url}; see {page}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return f"{file.url} is refused (status {status}: {one_line(error)}); see {page}"
    return None
