"""YAML and JSON without guessing: a scalar without quotes stays text until the declared type of its field is known.

YAML 1.1 reads `007` as 7, `yes` as a boolean and `1e-5` as a string.  Here all three arrive as `Plain` text, as a
value typed on the command line does; a quoted scalar is a `str`, and null is None.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from merv.errors import ConfigError

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(\d+\.\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
)
_FOLDED = frozenset("\x85\u2028\u2029")
"""Line breaks of YAML 1.1 beside the usual ones."""
_TRUE, _FALSE = (
    frozenset(spelling for word in words for spelling in (word, word.title(), word.upper()))
    for words in (("true", "yes", "on"), ("false", "no", "off"))
)


class Plain(str):
    """Text whose type is still open: an option's value, or a scalar written without quotes."""


ALONE = Plain("true")
"""The value, by identity, of an option that stands alone: true for a boolean, an error for anything else."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps unquoted scalars as `Plain` and refuses a key written twice."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """Compose a mapping; checked here because merge keys are expanded later and may repeat a key."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.composer.ComposerError(None, None, f"key `{key.value}` stands twice", key.start_mark)
                seen.add(key.value)
        return node

    def scalar(self, node: yaml.ScalarNode) -> str:
        """The text of a scalar, open when it was written without quotes."""
        text = self.construct_scalar(node)
        return Plain(text) if node.style is None else text


for _kind in ("str", "int", "float", "bool", "timestamp", "value"):
    _Loader.add_constructor(_TAG + _kind, _Loader.scalar)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes the strings `guess` would take for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal objects out twice; anchors are hard to read and edit."""
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        """Text; where it holds a line break that readers of YAML fold to a space, with that one escaped."""
        style = '"' if _FOLDED.intersection(text) else None
        return self.represent_scalar(_TAG + "str", text, style)


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_implicit_resolver(_TAG + "float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """Read YAML; unquoted scalars stay `Plain`.

    Raises:
        ValueError: the text is not YAML; the message is one line with the position.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def write_yaml(data: Any) -> str:
    """Write plain data so that every reader of YAML gets the same types back."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def read_mapping(path: str | Path) -> dict[Any, Any]:
    """Read a YAML or JSON file that holds one mapping; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing, unreadable, or something else than a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        if Path(path).suffix == ".json":
            data = json.loads(text, parse_int=Plain, parse_float=Plain, parse_constant=Plain)
        else:
            data = parse_yaml(text)
    except OSError as error:
        raise ConfigError(f"config file `{path}` cannot be read: {error.strerror}; check the path") from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise ConfigError(f"config file `{path}`: {error}; correct that place") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"config file `{path}` holds {describe(data)}; expected `key: value` lines")
    return data


def guess(raw: Any) -> Any:
    """Give plain text the type YAML would; for fields declared `Any`."""
    if isinstance(raw, dict):
        return {guess(key): guess(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [guess(item) for item in raw]
    return _guess_text(raw) if isinstance(raw, Plain) else raw


def _guess_text(text: Plain) -> Any:
    if text.startswith(("[", "{")):
        try:
            return guess(parse_yaml(text))
        except ValueError:
            return str(text)
    if text in ("null", "Null", "NULL", "~"):
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return to_float(text)
    return str(text)


def to_float(text: str) -> float:
    """Read a number; YAML writes infinity and not-a-number with a dot."""
    return float(re.sub(r"^([-+]?)\.(?=[iInN])", r"\1", text))


def describe(raw: Any) -> str:
    """Name a raw value in an error line."""
    if raw is None:
        return "null"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, list):
        return "a list"
    return f"`{raw}`" if raw != "" else "empty"
