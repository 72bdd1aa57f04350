"""Registries of configs: names a user types on the command line, and the dataclasses behind them.

A family is a subclass of `Registry`; draccus decodes `{"type": name, ...}` through it.  Packages outside merv add
names through the entry-point group `merv.plugins`, or with `--plugins package` on the command line.
"""

import copy
import dataclasses
import difflib
import functools
import importlib
import sys
import typing
from collections.abc import Callable, Hashable, Iterable
from importlib.metadata import entry_points
from typing import Any, ClassVar, Self

import draccus
from draccus import ChoiceRegistry
from draccus.utils import DraccusException

from merv.errors import ConfigError

PLUGIN_GROUP = "merv.plugins"
MOST_NAMES = 20
"""More names than this are counted in a message, not listed."""


class Registry(ChoiceRegistry):
    """Base of every family of named configs.

    A direct subclass opens a family and says what its members are called; draccus recognises a family by
    `ChoiceRegistry` standing among its direct bases, so it is named once more:

        @dataclass
        class ProjectorConfig(Registry, ChoiceRegistry, kind="projector"): ...
    """

    kind: ClassVar[str] = "choice"
    """What one member is called in messages and lists, such as "projector"."""

    def __init_subclass__(cls, kind: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind is not None:
            cls.kind = kind
            cls._choice_registry = {}

    @classmethod
    def register_subclass(cls, name: str, choice_type: type | None = None) -> Any:
        """Register a config dataclass under `name`; a name belongs to one class only.

        Raises:
            ValueError: `name` is taken by another class.
        """
        if choice_type is None:
            return functools.partial(cls.register_subclass, name)
        known = cls._choice_registry.get(name)
        if known is not None and _identity(known) != _identity(choice_type):
            raise ValueError(f"{cls.kind} `{name}` is {_identity(known)}; {_identity(choice_type)} needs another name")
        cls._choice_registry[name] = choice_type
        return choice_type

    @classmethod
    def preset(cls, name: str, **defaults: Any) -> type[Self]:
        """Register this config class once more as `name`, with other defaults.

        Raises:
            ValueError: one of `defaults` is no field of the class, or the name is taken.
        """
        hints = typing.get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
        for key in defaults:
            if key not in known:
                raise ValueError(f"preset `{name}`: {cls.__name__} has no field `{key}`; it has {', '.join(known)}")
        fields = [(key, hints[key], _default(value)) for key, value in defaults.items()]
        namespace = {
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "__reduce__": _reduce_preset,
            "_preset_module": sys._getframe(1).f_globals["__name__"],
        }
        new = dataclasses.make_dataclass(f"{cls.__name__}[{name}]", fields, bases=(cls,), namespace=namespace)
        cls.register_subclass(name, new)
        return new

    @classmethod
    def available(cls) -> list[str]:
        """The registered names, sorted."""
        return sorted(cls._choice_registry)

    @classmethod
    def get(cls, name: str) -> type[Self]:
        """The config class called `name`.

        Raises:
            ConfigError: nothing is registered under `name`; the message lists near names.
        """
        if name not in cls._choice_registry:
            raise ConfigError(f"unknown {cls.kind} `{name}`; {did_you_mean(name, cls.available())}")
        return cls._choice_registry[name]

    @classmethod
    def new(cls, name: str, **options: Any) -> Self:
        """A config of the class called `name`; options may be config objects or what a YAML file would hold.

        Raises:
            ConfigError: no such name or option (the message lists near names), or a value of another type.
        """
        config_class = cls.get(name)
        known = [field.name for field in dataclasses.fields(config_class) if field.init]  # type: ignore[arg-type]
        for option in options:
            if option not in known:
                tail = did_you_mean(option, known).replace("registered:", "it has")
                raise ConfigError(f"{cls.kind} `{name}` has no option `{option}`; {tail}")
        plain = {key: value for key, value in options.items() if not dataclasses.is_dataclass(value)}
        try:
            decoded = draccus.decode(config_class, plain)
        except DraccusException as error:
            cause = error.__cause__ if isinstance(error.__cause__, ConfigError) else error
            raise ConfigError(f"{cls.kind} `{name}`: {' '.join(str(cause).split())}") from error
        return dataclasses.replace(decoded, **{key: options[key] for key in options.keys() - plain.keys()})

    @property
    def type_name(self) -> str:
        """The name this config's class is registered under."""
        return self.get_choice_name(type(self))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error line: near names first, then what is registered."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    listed = f"registered: {', '.join(names) or 'nothing'}"
    if len(names) > MOST_NAMES:
        listed = f"{len(names)} are registered, `merv list` shows them"
    return f"did you mean {' or '.join(f'`{n}`' for n in near)}? {listed}" if near else listed


def load_plugins(packages: Iterable[str] = ()) -> None:
    """Import installed `merv.plugins` entry points and the named packages, so that what they register can be chosen.

    Raises:
        ConfigError: a named package is not installed or an entry point fails to import.
    """
    importers: list[tuple[str, Callable[[], Any]]] = [(p.name, p.load) for p in entry_points(group=PLUGIN_GROUP)]
    importers += [(name, functools.partial(importlib.import_module, name)) for name in packages]
    for name, load in importers:
        try:
            load()
        except ImportError as error:
            raise ConfigError(
                f"plugin `{name}` cannot be imported: {error}; install it or put its folder on PYTHONPATH"
            ) from error


def _identity(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _default(value: Any) -> Any:
    """A dataclass default: the value itself, or a fresh copy for every config of one that could be changed."""
    if isinstance(value, Hashable):
        return dataclasses.field(default=value)
    return dataclasses.field(default_factory=functools.partial(copy.deepcopy, value))


def _reduce_preset(config: Any) -> tuple[Any, ...]:
    """Pickle a preset by its registered name: its class stands in no module."""
    family = next(base for base in type(config).__mro__ if "_choice_registry" in base.__dict__)
    return _restore_preset, (family, config._preset_module, config.type_name), config.__dict__


def _restore_preset(family: type[Registry], module: str, name: str) -> Registry:
    importlib.import_module(module)
    cls = family.get(name)
    return cls.__new__(cls)
