"""Packages that bring torch another vendor's devices, such as torch-npu for Ascend, and why one cannot be loaded.

torch loads them at the end of its own import (https://docs.pytorch.org/tutorials/unstable/python_extension_autoload.html),
so where one fails torch fails.  Hence nothing here imports torch.
"""

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

GROUP = "torch.backends"
SWITCH = "TORCH_DEVICE_BACKEND_AUTOLOAD"
"""Environment variable; torch leaves the packages alone when it is 0."""

_FAILED = re.compile(r"Failed to load the backend extension: (\S+?)\.?(\s|$)")
_REMEDIES = {
    "torch_npu": "CANN is missing or not set up in this shell; source its set_env.sh "
    "(by default /usr/local/Ascend/cann/set_env.sh), or run on the CPU: pip uninstall torch-npu"
}


@dataclass(frozen=True)
class Trouble:
    """A package that cannot be loaded."""

    name: str
    reason: str
    """What it says itself, in one line."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.name} cannot be loaded ({self.reason}): {self.remedy}"


def names() -> list[str]:
    """The installed ones."""
    return sorted({backend.name for backend in entry_points(group=GROUP)})


def load(name: str) -> Trouble | None:
    """Load one as torch does; gives what is wrong with it, None when it can be loaded."""
    backend = next(iter(entry_points(group=GROUP, name=name)))
    try:
        backend.load()()
    except Exception as error:  # whatever the vendor's package raises
        return _trouble(name, error)
    return None


def explain(error: BaseException) -> Trouble | None:
    """What is wrong when such a package has caused an error; None for any other error.

    It may reach us from `import torch`, or from a library that imports the package itself, as transformers does.
    """
    for cause in _chain(error):
        named = _FAILED.match(str(cause))
        if named:
            return _trouble(named[1], cause.__cause__ or cause)
        for backend in entry_points(group=GROUP):
            if isinstance(cause, ImportError | OSError) and _comes_from(backend, cause):
                return _trouble(backend.name, cause)
    return None


def left_out() -> bool:
    """Whether the environment tells torch to leave the packages alone."""
    return os.environ.get(SWITCH, "1") != "1"


@contextmanager
def held_back() -> Iterator[None]:
    """Within it `import torch` leaves the packages alone."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


def _trouble(name: str, error: BaseException) -> Trouble:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    remedy = _REMEDIES.get(name, f"install what it needs, or pip uninstall {name.replace('_', '-')}")
    return Trouble(name, reason, remedy)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _comes_from(backend: EntryPoint, error: BaseException) -> bool:
    """Whether the line that raised stands in the package."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(modules) and modules[-1].partition(".")[0] == backend.module.partition(".")[0]
