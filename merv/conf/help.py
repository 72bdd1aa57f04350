"""`--help`: every option with its type, default and docstring, and the registered names of every choice."""

import ast
import dataclasses
import functools
import inspect
import shutil
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

from merv.conf.files import encode
from merv.conf.hints import is_choice, type_text
from merv.conf.names import Leaf, leaves
from merv.conf.text import write_yaml
from merv.conf.tree import Node

_COMMON = (
    ("--config_path <path>", "YAML or JSON file of options, laid over the defaults; of several, later over earlier."),
    ("--plugins <package,...>", "Packages to import first, so that what they register can be chosen."),
    ("-h, --help", "This text; with --<group>.type X it shows the options and defaults of X."),
)
_VALUES = "Lists are written a,b or [a,b]; null means none; a later option wins over an earlier one."
_MAX_WIDTH = 110
_COLUMN = 8


def help_text(config_class: type, tree: Node, prog: str, width: int | None = None) -> str:
    """The help of a command whose config is `config_class`, with the types and values `tree` has so far."""
    width = width or min(shutil.get_terminal_size().columns, _MAX_WIDTH)
    lines = [f"usage: {prog} [--option value | --option=value ...]", ""]
    story = inspect.cleandoc(config_class.__doc__ or "").split("\n\n")[0]
    if story and not story.startswith(f"{config_class.__name__}("):
        lines += [*_wrap(story, width, ""), ""]
    lines += _wrap(_VALUES, width, "")
    for name, text in _COMMON:
        lines += [f"  {name}", *_wrap(text, width)]
    explained: dict[tuple[type, str], str] = {}
    for title, group in _groups(config_class, tree).items():
        lines += ["", *_heading(title, group, explained, width)]
        for leaf in group:
            field = leaf.name.rpartition(".")[2]
            lines += _option(leaf, width, briefly=(leaf.owner, field) in explained)
            explained.setdefault((leaf.owner, field), title)
    return "\n".join(lines) + "\n"


def _groups(config_class: type, tree: Node) -> dict[str, list[Leaf]]:
    groups: dict[str, list[Leaf]] = {"": []}
    for leaf in leaves(config_class, tree):
        if leaf.name == "plugins":  # stands among the common ones
            continue
        groups.setdefault(leaf.name.rpartition(".")[0], []).append(leaf)
    return {title: group for title, group in groups.items() if group}


def _heading(title: str, group: list[Leaf], explained: Mapping[tuple[type, str], str], width: int) -> Iterator[str]:
    """The name of a group, its docstring, and where its options stand with theirs when that was before."""
    member = group[-1]
    yield f"{title}:" if title else "options:"
    doc = field_docs(member.group[0]).get(member.group[1], "") if member.group else ""
    before = explained.get((member.owner, member.name.rpartition(".")[2]))
    yield from _wrap(f"{doc} Options as explained for {before}." if before else doc, width, "  ")


def _option(leaf: Leaf, width: int, *, briefly: bool) -> Iterator[str]:
    listed = typing.get_origin(leaf.hint) is Literal
    kind = "" if listed else f" <{type_text(leaf.hint)}>"
    head = f"  --{leaf.name}{kind}"
    default = "required" if leaf.value is dataclasses.MISSING else f"default: {_value_text(leaf.value)}"
    if len(head) + len(default) + 4 <= width:
        yield f"{head}  [{default}]"
    else:
        yield head
        yield from _wrap(f"[{default}]", width)
    if briefly:
        return
    yield from _wrap(field_docs(leaf.owner).get(leaf.name.rpartition(".")[2], ""), width)
    if listed:
        names = ", ".join(map(str, typing.get_args(leaf.hint))) or "nothing"
        registered = is_choice(leaf.owner) and leaf.name.rpartition(".")[2] == "type"
        yield from _wrap(("registered: " if registered else "one of: ") + names, width)


def _value_text(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, Enum):
        return value if value else '""'
    text = write_yaml([encode(value)]).strip() if not isinstance(value, dict | list | tuple) else None
    if text is not None:
        return " ".join(text.removeprefix("- ").split())
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value_text(item)}" for key, item in value.items()) + "}"
    return "[" + ",".join(_value_text(item) for item in value) + "]"


def _wrap(text: str, width: int, indent: str = " " * _COLUMN) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, 2 * _COLUMN + 20),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def field_docs(cls: type) -> dict[str, str]:
    """The docstring under each field of a class, its own before inherited ones."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        docs.update(_module_docs(base.__module__).get(base.__qualname__, {}))
    return docs


@functools.cache
def _module_docs(module: str) -> Mapping[str, Mapping[str, str]]:
    """Field docstrings of every class in a module, by qualified name; nothing for a module without source."""
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError, KeyError):
        return MappingProxyType({})
    return dict(_class_docs(ast.parse(source).body, ""))


def _class_docs(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield f"{prefix}{statement.name}", _docs_in(statement)
            yield from _class_docs(statement.body, f"{prefix}{statement.name}.")
        elif isinstance(statement, ast.FunctionDef):
            yield from _class_docs(statement.body, f"{prefix}{statement.name}.<locals>.")


def _docs_in(statement: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for field, below in zip(statement.body, statement.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                docs[field.target.id] = value.value
    return docs
