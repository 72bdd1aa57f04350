"""Reading JSON: rows of a list or of a file with one a line, and objects; what is wrong with a file is one line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merv.data.formats.row_file import NotAListError, NotTextError, RowFile
from merv.errors import ConfigError, MervError


class JsonRows(RowFile):
    """The rows of a list; what is wrong with the file is told in one line."""

    def __init__(self, path: Path, columns: str) -> None:
        """Read nothing yet; see `json_rows`."""
        super().__init__(path)
        self._columns = columns

    def __iter__(self) -> Iterator[Any]:
        """The rows.

        Raises:
            ConfigError: the file is not UTF-8 text, not JSON or no list.
        """
        with _explained(self.path):
            try:
                for number, row in enumerate(super().__iter__()):
                    if number == 0 and self.path.suffix == ".jsonl" and _is_list(row):
                        name = self.path.with_suffix(".json").name
                        raise ConfigError(f"{self.path} is one JSON list and not a row a line; name it {name}")
                    yield row
            except NotAListError:
                rows = _parsed(self.path)  # tells what is wrong, and where
                raise ConfigError(
                    f"{self.path} holds {described(rows)}; expected a list of rows with {self._columns}"
                ) from None


def _is_list(row: Any) -> bool:
    """Whether a line is a list, or the beginning of one."""
    begun = isinstance(row, json.JSONDecodeError) and row.doc.lstrip().startswith("[")
    return begun or isinstance(row, list)


def json_rows(path: Path, columns: str) -> JsonRows:
    """The parsed rows of a `.json` list or a `.jsonl`; a line that is not JSON is handed on as the error itself.

    They are read one at a time, and any can be read again by its number: see `merv.data.formats.row_file`.

    Args:
        path: The file.
        columns: What a row should hold, for the message about a file that is no list.

    Raises:
        ConfigError: while iterating: the file is not UTF-8 text, not JSON or no list of rows.
    """
    return JsonRows(path, columns)


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
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(_not_text(path, f"{error.reason} at byte {error.start}")) from error
    except NotTextError as error:
        raise ConfigError(_not_text(path, str(error))) from error
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path} is not JSON: {error.msg} at line {error.lineno} column {error.colno}; download it again, "
            "or name it .jsonl if it has one row a line"
        ) from error
    except MervError:
        raise
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, a list in a list in a list ...
        raise ConfigError(f"{path} is not JSON that can be read: {error}; download it again") from error


def _not_text(path: Path, why: str) -> str:
    return f"{path} is not UTF-8 text: {why}; download it again"
