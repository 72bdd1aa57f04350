"""The names options can have, and what to say of one that no field has."""

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from merv.conf.hints import choices_of, fields_of, group_of, is_choice, mapping_of
from merv.conf.tree import Node, UnknownNameError, class_of, join, start


@dataclass(frozen=True)
class Leaf:
    """A field an option can set."""

    name: str
    """Dotted name."""
    hint: Any
    """Declared type; for a `type` a Literal of the registered names."""
    value: Any
    """Its value in the tree, MISSING when it has none."""
    owner: type
    """The config class the field belongs to."""
    group: tuple[type, str] | None = None
    """The class and field that hold that config; None at the top and in a dict."""


def leaves(
    hint: type,
    node: Node,
    where: str = "",
    above: tuple[type, ...] = (),
    holder: tuple[type, str] | None = None,
) -> Iterator[Leaf]:
    """The fields that can be set below a node, with the types chosen so far.

    Args:
        hint: declared type of the node.
        node: the tree.
        where: dotted name of the node.
        above: the classes around the node; one that may hold itself is not followed without end.
        holder: class and field that hold the node.
    """
    if is_choice(hint):
        known = choices_of(hint)
        yield Leaf(join(where, "type"), Literal[tuple(known)], node.get("type", dataclasses.MISSING), hint, holder)
        if "type" not in node:
            return
    cls = class_of(hint, node, where)
    for name, child in fields_of(cls).items():
        value, full = node.get(name, dataclasses.MISSING), join(where, name)
        group, pair = group_of(child), mapping_of(child)
        if group is None or value is None:
            yield Leaf(full, child, value, cls, holder)
        if group is not None and (isinstance(value, dict) or group not in above):
            below = value if isinstance(value, dict) else start(group)
            yield from leaves(group, below, full, (*above, cls, group), (cls, name))
        entry = group_of(pair[1]) if pair else None
        if entry is not None and isinstance(value, dict):
            for key, item in value.items():
                yield from leaves(entry, item, join(full, key), (*above, cls))


def unknown_name(error: UnknownNameError, config_class: type, tree: Node, dashes: str = "") -> str:
    """The error line: near names first, else where the names are listed."""
    known = [leaf.name for leaf in leaves(config_class, tree)]
    node = error.name.rpartition(".")[0]
    line = f"there is no {'option' if dashes else 'key'} `{dashes}{error.name}`"
    if error.elsewhere:
        return f"{line}; set `{dashes}{node}.type` to one that has it: {', '.join(error.elsewhere)}"
    near = near_names(error.name.replace("-", "_"), [*known, *error.siblings])
    if near:
        return f"{line}; did you mean {' or '.join(f'`{dashes}{name}`' for name in near)}?"
    if error.siblings:
        fields = ", ".join(name.rpartition(".")[2] for name in error.siblings)
        return f"{line}; {f'`{node}` has' if node else 'there are'}: {fields}"
    return f"{line}; `{node}` is a single value"


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names: those with the same end in another place, such as `lora_rank`, then those alike."""
    names = list(dict.fromkeys(known))
    last = name.rpartition(".")[2]
    moved = [other for other in names if f"_{other.replace('.', '_')}".endswith(f"_{last}")]
    moved.sort(key=lambda other: other.rpartition(".")[2] != last)
    alike = difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    closest = [other for other in alike if _likeness(name, other) > _likeness(name, alike[0]) - 0.15]
    return list(dict.fromkeys([*moved, *closest]))[:3]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
