"""One bar over all bytes of a download; without a terminal, a line now and then."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Self

EVERY_S = 30.0
"""Seconds between lines where there is no terminal."""
GIGABYTE = 1e9


class Progress:
    """Bytes done of all bytes; several threads may add at a time."""

    def __init__(
        self,
        total: int,
        write: Callable[[str], object],
        *,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin at nothing.

        Args:
            total: bytes to transfer, and of archives to read again.
            write: takes lines where there is no terminal.
            terminal: whether stderr is one; None asks it.
            clock: seconds.
        """
        self.total = total
        self.done = 0
        self.what = ""
        self._write = write
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._clock = clock
        self._lock = threading.Lock()
        self._told = clock()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Show the bar where there is a terminal."""
        if self._terminal:
            self._open_bar()
        return self

    def __exit__(self, *args: object) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def add(self, num_bytes: int) -> None:
        """So many more bytes are done; fewer than none where some have to be done again."""
        with self._lock:
            self.done += num_bytes
            self._show()

    def say(self, what: str) -> None:
        """What is being done: fetching, or unpacking an archive."""
        with self._lock:
            self.what = what
            self._show()

    def text(self) -> str:
        """How far it is, in words."""
        return f"{self.what} {self.done / GIGABYTE:.2f} of {self.total / GIGABYTE:.2f} GB".strip()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=self.what)
        elif self._clock() - self._told >= EVERY_S:
            self._told = self._clock()
            self._write(self.text() + "\n")

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = RichProgress(*columns, console=Console(stderr=True), refresh_per_second=4)
        self._task = self._bar.add_task(self.what, total=self.total)
        self._bar.start()
