"""How a command tells what a user can mend: one line on stderr, and what it shows below; then exit status 2."""

import errno
import logging
import sys
import time

import yaml
from draccus.utils import DraccusException

from merv import runtime
from merv.errors import MervError

logger = logging.getLogger(__name__)

USER_ERROR = 2
"""Exit status after an error a user can mend."""
USER_ERRORS = (MervError, DraccusException, yaml.YAMLError, OSError)
"""What a user can cause; of OSError only those that `is_mendable`."""
PATIENCE_S = 30.0
"""Seconds the other processes leave the first one of a machine to tell what is wrong with the options."""


def is_mendable(error: BaseException) -> bool:
    """Whether a user can act on it: of the system's errors those that name a file, and a full disk."""
    full = (errno.ENOSPC, errno.EDQUOT)
    return not isinstance(error, OSError) or error.filename is not None or error.errno in full


def tell(error: BaseException, prog: str) -> int:
    """Write the error of a program; gives the exit status.

    Raises:
        OSError: it is one that no user can mend.
    """
    if not is_mendable(error):
        raise error
    logger.debug("where the error came from", exc_info=error)
    below = f"{error.below}\n" if isinstance(error, MervError) and error.below else ""
    sys.stderr.write(f"{prog}: error: {one_line(error)}\n{below}")
    sys.stderr.flush()
    return USER_ERROR


def tell_once(error: BaseException, prog: str) -> int:
    """Write an error that all processes share, on the first one of each machine; gives the exit status.

    torchrun ends all processes when one has ended: the others wait to be ended, or that line might never be written.
    """
    if runtime.local_rank() == 0:
        return tell(error, prog)
    time.sleep(PATIENCE_S)
    return USER_ERROR


def of_rank(prog: str) -> str:
    """The name of the program, after the rank where there are several."""
    return f"[rank {runtime.rank()}] {prog}" if runtime.world_size() > 1 else prog


def one_line(error: BaseException) -> str:
    """The message a user can act on; draccus hides it behind a general one of its own."""
    while isinstance(error, DraccusException) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError):
        return (
            f"`{error.filename}`: {error.strerror}" if error.filename is not None else f"{error.strerror}; make room"
        )
    return " ".join(str(error).split()) or type(error).__name__
