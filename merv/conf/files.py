"""Configs as files: YAML that reads back equal, value for value and type for type."""

import dataclasses
from collections.abc import Collection
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, TypeVar

import draccus
from draccus import ChoiceRegistry

from merv.conf import aliases
from merv.conf.hints import choice_name, fields_of
from merv.conf.names import unknown_name
from merv.conf.text import read_mapping, write_yaml
from merv.conf.tree import Node, UnknownNameError, build, lay, start
from merv.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def dump(config: Any) -> str:
    """Write a config as YAML; `load` of it is equal to `config`."""
    return write_yaml(encode(config))


def save(config: Any, path: str | Path) -> None:
    """Write a config to a file, whose folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(config), encoding="utf-8")


def load(config_class: type[ConfigT], path: str | Path, *, stages: Collection[str] = aliases.STAGES) -> ConfigT:
    """Read a config from a YAML or JSON file; fields it does not name keep their defaults.

    Raises:
        ConfigError: the file cannot be read or does not fit; the line names the file and the key.
    """
    return from_mapping(config_class, read_mapping(path), path, stages=stages)


def from_mapping(
    config_class: type[ConfigT],
    data: dict[Any, Any],
    path: str | Path,
    *,
    stages: Collection[str] = aliases.STAGES,
) -> ConfigT:
    """Make a config of what a file held; fields it does not name keep their defaults.

    Raises:
        ConfigError: it does not fit; the line names the file and the key.
    """
    tree = start(config_class)
    lay_file(config_class, tree, path, data, stages)
    try:
        return build(config_class, tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def lay_file(
    config_class: type, tree: Node, path: str | Path, data: dict[Any, Any], stages: Collection[str] = aliases.STAGES
) -> None:
    """Write what a file holds over a tree, in place.

    Raises:
        ConfigError: a key or value does not fit; the line names the file and the key.
    """
    try:
        lay(config_class, tree, data, "", stages)
    except UnknownNameError as error:
        raise ConfigError(f"{path}: {unknown_name(error, config_class, tree)}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def encode(value: Any) -> Any:
    """Reduce a value to what YAML writes: mappings, lists, text, numbers, booleans and null."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encode_config(value)
    if isinstance(value, dict):
        return {encode(key): encode(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((encode(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return str(value) if isinstance(value, PurePath) else draccus.encode(value)


def _encode_config(config: Any) -> dict[str, Any]:
    data = {name: encode(getattr(config, name)) for name in fields_of(type(config))}
    if not isinstance(config, ChoiceRegistry):
        return data
    name = choice_name(type(config), type(config))
    assert name is not None, f"{type(config).__name__} is not registered, so no file can name it"
    return {"type": name, **data}
