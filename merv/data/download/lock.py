"""One download at a time in a folder: two would write into the same files."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merv.errors import ConfigError

LOCK = ".download.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within it the folder is ours; the lock ends with the process, however that ends.

    Raises:
        ConfigError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:  # it stays: deleting it would let two processes lock a file each
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another download is at work in {folder}; wait for it, or end it") from error
        yield
