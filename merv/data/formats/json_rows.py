"""Reading JSON: rows of a list or of a file with one a line, and objects; what is wrong with a file is one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merv.errors import ConfigError


def json_rows(path: Path, columns: str) -> Iterator[Any]:
    """The parsed rows of a `.json` list or a `.jsonl`; a line that is not JSON is handed on as the error itself.

    Args:
        path: The file.
        columns: What a row should hold, for the message about a file that is no list.

    Raises:
        ConfigError: the file is not UTF-8 text, not JSON or no list.
    """
    if path.suffix == ".jsonl":
        with _explained(path), path.open(encoding="utf-8-sig") as file:
            yield from (_line(text) for text in file if text.strip())
        return
    rows = _parsed(path)
    if not isinstance(rows, list):
        raise ConfigError(f"{path} holds {described(rows)}; expected a list of rows with {columns}")
    yield from rows


def json_object(path: Path, holds: str) -> dict[str, Any]:
    """A JSON object, such as seconds by video.

    Raises:
        ConfigError: the file is missing, not UTF-8 text, not JSON or no object.
    """
    content = _parsed(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {described(content)}; expected an object of {holds}")
    return content


def described(value: Any) -> str:
    """What a JSON value is, for a message."""
    if value is None:
        return "nothing"
    if value in ("", [], {}):
        return f"an empty {type(value).__name__}"
    text = json.dumps(value, ensure_ascii=False)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _parsed(path: Path) -> Any:
    with _explained(path):
        return json.loads(path.read_text(encoding="utf-8-sig"))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in one line why a file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; download it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}; download it again"
        ) from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path} is not JSON: {error.msg} at line {error.lineno} column {error.colno}; download it again, "
            "or name it .jsonl if it has one row a line"
        ) from error


def _line(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a list in a list in a list ...
        return json.JSONDecodeError(str(error), "", 0)
