"""Replies on disk: a line each, appended as they come."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from merv.endpoint.usage import Usage
from merv.errors import ConfigError, RunStopped

FILE = "replies.jsonl"


@dataclass(frozen=True)
class Kept:
    """A reply and how often it took to get it."""

    reply: str
    attempts: int = 1
    """Times this prompt was replied to; only the last reply is kept."""
    usage: Usage | None = None
    """Tokens of the last reply; None where nobody counted them."""


class ReplyCache:
    """Replies by key.  Several threads and processes may add to one folder; a line is written at once or not at all.

    A line that a crash cut off counts as absent.
    """

    def __init__(self, folder: Path, *, name: str = "judge cache", option: str = "judge.cache_dir") -> None:
        """Read what is there.

        Args:
            folder: where the file is, or will be.
            name: what messages call the cache.
            option: what chooses the folder, for messages.

        Raises:
            ConfigError: the folder cannot be made or read.
        """
        self.folder, self._name, self._path, self._lock = folder, name, folder / FILE, Lock()
        self._known: dict[str, Kept] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # One write to a file opened for appending cannot be torn by another one.
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigError(f"{name} {folder} cannot be used: {error.strerror}; set {option}") from error
        with self._path.open("rb") as file:
            lines = file.read().split(b"\n")
        for line in lines:
            self._read(line)
        if lines[-1]:
            os.write(self._file, b"\n")  # ends the line a crash cut off

    def __len__(self) -> int:
        """Number of replies."""
        return len(self._known)

    def get(self, key: str) -> Kept | None:
        """The reply under `key`."""
        return self._known.get(key)

    def put(self, key: str, kept: Kept) -> None:
        """Keep a reply, in place of an earlier one.

        Raises:
            RunStopped: the disk does not take it.
        """
        row: dict[str, Any] = {"key": key, "reply": kept.reply, "attempts": kept.attempts}
        if kept.usage is not None:
            row["usage"] = [kept.usage.prompt_tokens, kept.usage.completion_tokens]
        line = json.dumps(row) + "\n"
        with self._lock:
            try:
                os.write(self._file, line.encode())
            except OSError as error:
                raise RunStopped(f"{self._name} {self._path} cannot be written: {error.strerror}") from error
            self._known[key] = kept

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _read(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            usage = Usage(*map(int, row["usage"])) if "usage" in row else None
            self._known[str(row["key"])] = Kept(str(row["reply"]), int(row["attempts"]), usage)
        except (ValueError, KeyError, TypeError):
            return


def hash_of(value: Any) -> str:
    """SHA-256 of a value as JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
