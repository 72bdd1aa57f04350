"""`merv list <kind>`: what is registered, one line a name, with what sets it apart from its class's defaults."""

import dataclasses
import importlib
import pkgutil
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from merv.errors import ConfigError
from merv.registry import Registry, did_you_mean, load_plugins


class Family(NamedTuple):
    """Where a family of configs is opened, and the package whose modules register its members."""

    base: str
    """module:class of the registry."""
    members: str
    """Package or module imported with everything below it."""


FAMILIES: dict[str, Family] = {
    "models": Family("merv.models.base:ModelConfig", "merv.models"),
    "video-backbones": Family("merv.backbones.video.base:VideoBackboneConfig", "merv.backbones.video"),
    "llm-backbones": Family("merv.backbones.llm.base:LLMConfig", "merv.backbones.llm"),
    "projectors": Family("merv.models.projectors:ProjectorConfig", "merv.models.projectors"),
    "fusions": Family("merv.models.fusion:FusionConfig", "merv.models.fusion"),
    "datasets": Family("merv.data.datasets:DatasetConfig", "merv.data"),
    "tasks": Family("merv.evaluation.task:TaskConfig", "merv.evaluation"),
    "judges": Family("merv.evaluation.judge:JudgeConfig", "merv.evaluation.judge"),
    "rewards": Family("merv.rl.reward_config:RewardConfig", "merv.rl"),
    "strategies": Family("merv.training.strategies.base:StrategyConfig", "merv.training.strategies"),
}

PRESETS = "merv.conf"
"""Named presets of every family live here."""


def listing(kind: str) -> str:
    """A table of the registered names of one kind; of encoders and language models with their sizes.

    Raises:
        ConfigError: there is no such kind; the message lists near ones.
    """
    family = family_of(kind)
    if kind in ("video-backbones", "llm-backbones"):
        from merv.runs import facts

        return facts.video_backbones() if kind == "video-backbones" else facts.llm_backbones()
    if kind == "models":
        from merv.models.qwen2_vl.published import ROLE_MODELS

        published = [f"{name}  published: {what}; merv.load fetches them" for name, what in ROLE_MODELS.items()]
        return "\n".join([table(family), *published])
    return table(family)


def descriptions(kind: str) -> dict[str, str]:
    """Names of a kind and the first line about each; models include those `merv.load` fetches by name.

    Raises:
        ConfigError: there is no such kind; the message lists near ones.
    """
    family = family_of(kind)
    found = {name: first_line(family.get(name)) for name in family.available()}
    if kind == "models":
        from merv.models.published import MODELS
        from merv.models.qwen2_vl.published import ROLE_MODELS

        named = {**MODELS, **ROLE_MODELS}
        found |= {name: f"published: {what}" for name, what in named.items() if name not in found}
    return found


def family_of(kind: str) -> type[Registry]:
    """The registry of one kind.

    Raises:
        ConfigError: there is no such kind; the message lists near ones.
    """
    if kind not in FAMILIES:
        raise ConfigError(f"unknown kind `{kind}`; {did_you_mean(kind, FAMILIES)}")
    return load_family(FAMILIES[kind])


def load_family(family: Family) -> type[Registry]:
    """The registry, after importing whatever registers members of it, plugins included."""
    for package in (family.members, PRESETS):
        for _ in _import_tree(importlib.import_module(package)):
            pass
    load_plugins()
    module, _, name = family.base.partition(":")
    return getattr(importlib.import_module(module), name)


def table(registry: type[Registry]) -> str:
    """Name, what it is, and fields whose defaults differ from those of the class it derives from."""
    names = registry.available()
    if not names:
        return f"no {registry.kind} is registered"
    configs = {name: registry.get(name) for name in names}
    texts = {name: textwrap.shorten(first_line(config), 72, placeholder=" ...") for name, config in configs.items()}
    name_width, text_width = max(map(len, names)), max(map(len, texts.values()))
    lines = []
    for name, config in configs.items():
        changed = ", ".join(f"{key}={value}" for key, value in changed_defaults(config, registry).items())
        lines.append(f"{name:<{name_width}}  {texts[name]:<{text_width}}  {changed}".rstrip())
    return "\n".join(lines)


def first_line(config: type) -> str:
    """First docstring line of a config class; the signature `dataclass` writes for want of one does not count."""
    doc = (config.__doc__ or "").strip()
    return "" if doc.startswith(f"{config.__name__}(") else doc.partition("\n")[0].strip()


def changed_defaults(config: type, registry: type[Registry], *, longest: int = 24) -> dict[str, str]:
    """Defaults that differ from the base class's, of values short enough for a table."""
    base = config.__mro__[1]
    inherited = _defaults(base) if base is not registry and dataclasses.is_dataclass(base) else _defaults(registry)
    changed = {}
    for name, value in _defaults(config).items():
        text = str(value)
        is_short = isinstance(value, str | int | float | tuple | list | None) and len(text) <= longest
        if is_short and name in inherited and inherited[name] != value:
            changed[name] = text
    return changed


def _defaults(config: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(config):
        return {}
    values = {}
    for field in dataclasses.fields(config):
        if field.default is not dataclasses.MISSING:
            values[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = field.default_factory()
    return values


def _import_tree(module: ModuleType) -> Iterator[ModuleType]:
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), prefix=f"{module.__name__}."):
        yield from _import_tree(importlib.import_module(found.name))
