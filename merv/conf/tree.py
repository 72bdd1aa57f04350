"""A config while it is being put together: nested dicts with a value per field, written over and built at the end.

Building configs last keeps what a preset chose: an option that changes one field of a nested config leaves its
siblings alone, and choosing another type starts that part of the tree afresh.
"""

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from merv.conf import aliases
from merv.conf.hints import (
    choice_name,
    choices_of,
    default_choice,
    fields_of,
    group_of,
    is_choice,
    mapping_of,
    members,
    takes_none,
    type_text,
)
from merv.conf.text import ALONE, Plain, describe
from merv.conf.values import decode, flow_mapping
from merv.errors import ConfigError
from merv.registry import did_you_mean

Node = dict[str, Any]
"""The fields of one config so far; a family's node has its registered name under `type`."""


class UnknownNameError(ConfigError):
    """A name no field has."""

    def __init__(self, name: str, *, siblings: Collection[str] = (), elsewhere: Collection[str] = ()) -> None:
        super().__init__(f"there is no `{name}`")
        self.name = name
        self.siblings = [join(name.rpartition(".")[0], sibling) for sibling in siblings]
        """Full names of the fields of the node that was asked."""
        self.elsewhere = sorted(elsewhere)
        """Other registered types of that node that have the field."""


def join(where: str, key: object) -> str:
    """The dotted name of `key` below `where`."""
    return f"{where}.{key}" if where else str(key)


def start(hint: type) -> Node:
    """The tree of a config class as its defaults have it; of a family without a default, an empty one."""
    if not is_choice(hint):
        return _defaults(hint)
    name = default_choice(hint)
    return {} if name is None else {"type": name, **_defaults(choices_of(hint)[name])}


def _defaults(cls: Any) -> Node:
    hints, tree = fields_of(cls), {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            tree[field.name] = unbuild(hints[field.name], field.default)
        elif field.default_factory is not dataclasses.MISSING:
            tree[field.name] = unbuild(hints[field.name], field.default_factory())
    return tree


def unbuild(hint: Any, value: Any) -> Any:
    """Take configs apart into nodes; other values stay."""
    group, pair = group_of(hint), mapping_of(hint)
    if group and dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {name: unbuild(child, getattr(value, name)) for name, child in fields_of(type(value)).items()}
        if not is_choice(group):
            assert type(value) is group, f"a {type(value).__name__} stands in a field declared {group.__name__}"
            return fields
        name = choice_name(group, type(value))
        assert name is not None, f"{type(value).__name__} stands in a config but is not registered"
        return {"type": name, **fields}
    if pair and isinstance(value, dict):
        return {key: unbuild(pair[1], item) for key, item in value.items()}
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def build(hint: Any, value: Any, where: str = "") -> Any:
    """Make configs of nodes, innermost first.

    Raises:
        ConfigError: a field without default has no value, or a config refuses its values.
    """
    group, pair = group_of(hint), mapping_of(hint)
    if group and isinstance(value, dict):
        return _build_group(group, value, where)
    if pair and isinstance(value, dict):
        return {key: build(pair[1], item, join(where, key)) for key, item in value.items()}
    return value


def _build_group(hint: type, node: Node, where: str) -> Any:
    cls = class_of(hint, node, where)
    hints = fields_of(cls)
    values = {name: build(child, node[name], join(where, name)) for name, child in hints.items() if name in node}
    required = [f for f in dataclasses.fields(cls) if f.name in hints and f.name not in values]
    if required:
        asked = ", ".join(f"--{join(where, f.name)} <{type_text(hints[f.name])}>" for f in required)
        raise ConfigError(f"{'a value is' if len(required) == 1 else 'values are'} missing: give {asked}")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"`{where}`: {error}" if where else str(error)) from error


def class_of(hint: type, node: Node, where: str) -> type:
    """The config class of a node: the declared one, or the registered one its `type` names.

    Raises:
        ConfigError: a family's node has no type yet.
    """
    if not is_choice(hint):
        return hint
    if "type" not in node:
        raise ConfigError(f"`{join(where, 'type')}` is not chosen; {did_you_mean('', choices_of(hint))}")
    return choices_of(hint)[node["type"]]


def lay(hint: type, node: Node, over: Mapping[Any, Any], where: str, stages: Collection[str]) -> None:
    """Write a mapping from a file over a node, in place; its `type` comes first, wherever it stands."""
    for key in sorted(over, key=lambda key: key != "type"):
        put(hint, node, [str(key)], over[key], where, stages)


def put(hint: Any, node: Node, path: Sequence[str], value: Any, where: str, stages: Collection[str]) -> None:
    """Write one value over a tree, in place.

    Args:
        hint: declared type of the node.
        node: the tree.
        path: names from the node to the field, as typed.
        value: raw value; `ALONE` for an option without one, and `null` drops an entry of a dict.
        where: dotted name of the node.
        stages: fields whose own fields may be written flat.

    Raises:
        ConfigError: there is no such field, or the value is not of its type.
    """
    group = group_of(hint)
    if group and is_choice(group) and list(path) == ["type"]:
        _choose(group, node, value, where)
        return
    key, *rest, child = _step(hint, node, path, where, stages)
    name = join(where, key)
    if rest:
        put(child, _branch(child, node, key, name, rest), rest, value, name, stages)
    elif group is None and isinstance(value, Plain) and value == "null":
        node.pop(key, None)
    else:
        node[key] = _settle(child, node.get(key), value, name, stages)


def _step(hint: Any, node: Node, path: Sequence[str], where: str, stages: Collection[str]) -> list[Any]:
    """The path in full, first key decoded, and after it the declared type of what that key holds."""
    if group := group_of(hint):
        cls = class_of(group, node, where)
        fields = fields_of(cls)
        spelled = aliases.spell_out(path, fields, lambda stage: fields_of(group_of(fields[stage]) or object), stages)
        if spelled is None:
            field = path[0].replace("-", "_")
            others = choices_of(group).items() if is_choice(group) else ()
            elsewhere = [other for other, known in others if field in fields_of(known)]
            raise UnknownNameError(join(where, path[0]), siblings=fields, elsewhere=elsewhere)
        return [*spelled, fields[spelled[0]]]
    pair = mapping_of(hint) or ((str, Any) if Any in members(hint) else None)
    if pair is None:
        raise UnknownNameError(join(where, path[0]))
    key = decode(pair[0], Plain(path[0]), where, _no_group)
    return [key, *path[1:], pair[1]]


def _branch(hint: Any, node: Node, key: str, where: str, rest: Sequence[str]) -> Node:
    """The node below `key`, made if there is none yet."""
    if isinstance(node.get(key), dict):
        return node[key]
    group = group_of(hint)
    if not group and not mapping_of(hint) and Any not in members(hint):
        raise UnknownNameError(join(where, rest[0]))
    node[key] = start(group) if group else {}
    return node[key]


def _choose(hint: type, node: Node, value: Any, where: str) -> None:
    name, known = join(where, "type"), choices_of(hint)
    if value is ALONE or not isinstance(value, str):
        found = "has no value" if value is ALONE else f"is {describe(value)}"
        raise ConfigError(f"`{name}` {found}; {did_you_mean('', known)}")
    if value not in known:
        raise ConfigError(f"`{name}` is `{value}`; {did_you_mean(value, known)}")
    if node.get("type") != value:
        node.clear()
        node.update({"type": str(value), **_defaults(known[value])})


def _settle(hint: Any, present: Any, value: Any, where: str, stages: Collection[str]) -> Any:
    """The tree's value for a raw one: a node for a config, a dict of its own for a dict, else the decoded value."""
    group, pair = group_of(hint), mapping_of(hint)
    if value is ALONE and bool not in members(hint):
        raise ConfigError(f"`--{where}` needs a value: {type_text(hint)}")
    if not group and not (pair and isinstance(value, dict | Plain)):
        return decode(hint, value, where, _group_reader(stages))
    if takes_none(hint) and (value is None or (isinstance(value, Plain) and value == "null")):
        return None
    if group and is_choice(group) and isinstance(value, str) and value in choices_of(group):  # --task nextqa-mc
        chosen = present if isinstance(present, dict) else {}
        _choose(group, chosen, value, where)
        return chosen
    try:
        over = flow_mapping(value)
    except ValueError as error:
        if group:
            raise ConfigError(_not_a_group(group, value, where)) from error
        return decode(hint, value, where, _group_reader(stages))
    if group:
        node = present if isinstance(present, dict) else start(group)
        lay(group, node, over, where, stages)
        return node
    assert pair is not None
    reader = _group_reader(stages)
    return {
        decode(pair[0], key, where, reader): _settle(pair[1], None, item, join(where, key), stages)
        for key, item in over.items()
    }


def _not_a_group(group: type, value: Any, where: str) -> str:
    if is_choice(group):
        return f"`{where}` is {describe(value)}; {did_you_mean(str(value), choices_of(group))}"
    return f"`{where}` is {describe(value)}, but it is a group; its options are --{where}." + f", --{where}.".join(
        fields_of(group)
    )


def _group_reader(stages: Collection[str]) -> Any:
    """Build a config that stands in a list, where options cannot reach it any more."""

    def read(hint: type, raw: Any, where: str) -> Any:
        node = start(hint)
        lay(hint, node, flow_mapping(raw), where, stages)
        return build(hint, node, where)

    return read


def _no_group(hint: Any, raw: Any, where: str) -> Any:
    raise ConfigError(f"`{where}`: a key cannot be a {hint.__name__}")
