"""Rewards by the name a command gives them: `plugin.py:function`, `package.module:name`, or a built-in one."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

import merv.rl.builtin_rewards  # noqa: F401 - registers them
from merv.data.dataset import Source
from merv.errors import ConfigError
from merv.registry import did_you_mean
from merv.rl.reward_config import RewardConfig
from merv.rl.rewards import Reward, as_reward


def find_reward(name: str, source: Source, options: Mapping[str, Any]) -> Reward:
    """The reward called `name`.

    Args:
        name: a built-in reward's; `file.py:name`; or `package.module:name`.
        source: the data it is to score answers to.
        options: fields of a built-in reward's config.

    Raises:
        ConfigError: there is none; the message says where it was looked for and what is there.
    """
    place, colon, target = name.rpartition(":")
    if not colon:
        if name.endswith(".py"):
            raise ConfigError(f"reward `{name}` names a file without a function; write `{name}:function`")
        return as_reward(RewardConfig.new(name, **options).build(source), name)
    if options:
        raise ConfigError(f"reward `{name}` takes no options; only built-in ones do: {_builtin()}")
    module = _from_file(Path(place), name) if place.endswith(".py") else _from_module(place, name)
    if not target.isidentifier() or not hasattr(module, target):
        there = [key for key, value in vars(module).items() if callable(value) and _is_own(value, module)]
        tail = did_you_mean(target, there).replace("registered:", "it has")
        raise ConfigError(f"reward `{name}`: {place} has no `{target}`; {tail}")
    return as_reward(getattr(module, target), target)


def _from_file(path: Path, name: str) -> ModuleType:
    """Import a file under a name of its own; what lies beside it can be imported by it."""
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"reward `{name}`: there is no file {path}; built in are {_builtin()}")
    unique = f"merv_reward_{path.stem}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    if unique in sys.modules:
        return sys.modules[unique]
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = sys.modules[unique] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[unique]
        raise ConfigError(f"reward `{name}` cannot be imported: {_where(error, path)}") from error
    return module


def _from_module(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"reward `{name}`: module `{place}` cannot be imported: {type(error).__name__}: {error}; "
            "name a file as `folder/file.py:function`"
        ) from error


def _where(error: BaseException, path: Path) -> str:
    """The error in one line, with the last line of the file that led to it."""
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}: {said}" if lines else f"{path}: {said}"


def _is_own(value: Any, module: ModuleType) -> bool:
    return getattr(value, "__module__", None) == module.__name__


def _builtin() -> str:
    return ", ".join(RewardConfig.available())
