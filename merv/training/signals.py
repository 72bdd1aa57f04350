"""Stopping on request: SIGTERM asks, the loop finishes its step, saves and ends with status 0."""

import logging
import signal
from types import FrameType
from typing import Any, Self

logger = logging.getLogger(__name__)


class StopRequest:
    """Notes SIGTERM (and SIGUSR1, which schedulers send before a time limit) while its block runs."""

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals over."""
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        logger.warning("%s: saving after this step, then ending", signal.Signals(number).name)
        self.requested = True
