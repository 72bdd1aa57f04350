"""Pickles of plain values: lists, dictionaries, text and numbers; anything else in a file is refused, not run.

Unpickling may call whatever a file names.  Annotations published as pickles need two names, and get no more.
"""

import builtins
import collections
import pickle
from pathlib import Path
from typing import Any

from merv.errors import ConfigError

ALLOWED = {("collections", "defaultdict"): collections.defaultdict, ("builtins", "list"): builtins.list}
"""Module and name, as pickles of Python 3 have them."""
OLD_MODULES = {"__builtin__": "builtins"}
"""Modules that pickles of Python 2 call otherwise."""


def read_plain_pickle(path: Path) -> Any:
    """What a pickle holds.

    Raises:
        ConfigError: the file is missing, no pickle, or names something that is not plain.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; download it") from error
    except _NotPlainError as error:
        raise ConfigError(
            f"{path} names {error}; a list of annotations needs no such thing, so it is not read"
        ) from error
    except Exception as error:  # a broken pickle raises almost anything
        raise ConfigError(f"{path} is no pickle: {' '.join(str(error).split())}; download it again") from error


class _NotPlainError(pickle.UnpicklingError):
    """The file names something outside `ALLOWED`."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = ALLOWED.get((OLD_MODULES.get(module, module), name))
        if found is None:
            raise _NotPlainError(f"{module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise _NotPlainError("an object outside itself")
