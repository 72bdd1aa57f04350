"""The folder of a set of questions: it belongs to the options it was begun with, so that the same command goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merv.errors import ConfigError
from merv.space import write_json

OPTIONS = "options.json"
"""What the questions in a folder depend on."""


def claim(out: Path, options: Mapping[str, Any]) -> None:
    """Make the folder, or find it begun with these options.

    Args:
        out: the folder.
        options: what decides the questions, by dotted name.

    Raises:
        ConfigError: it is a file, holds something else, or holds what was made with other options.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; name another --out")
    file = out / OPTIONS
    held = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if held <= {OPTIONS}:
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, dict(options))
        return
    if OPTIONS not in held:
        raise ConfigError(f"{out} is there already and holds no questions of this command; name another --out")
    begun = _read(file)
    wanted = json.loads(json.dumps(dict(options), default=str))
    other = sorted(name for name in {*begun, *wanted} if begun.get(name) != wanted.get(name))
    if other:
        said = ", ".join(f"{name} {_shown(begun, name)} and not {_shown(wanted, name)}" for name in other[:3])
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise ConfigError(f"{out} holds what was made with other options: {said}{more}; name another --out")


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; name another --out") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{file} is not of this command; name another --out")
    return found


def _shown(options: Mapping[str, Any], name: str) -> str:
    return f"`{options[name]}`" if name in options else "absent"
