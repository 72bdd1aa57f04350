"""Files of benchmarks: rows of JSON, JSON lines, CSV and parquet, and media by their stem; bad ones in one line."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.parquet_rows import parquet_rows
from merv.data.formats.video_folder import most_likely, spellings
from merv.errors import ConfigError


def read_json(path: Path, *, get: str = "download it") -> Any:
    """What a JSON file holds.

    Args:
        path: the file.
        get: what a user without it should do, for the message.

    Raises:
        ConfigError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"annotation file {path} is missing; {get}, or set another path") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON: {error}; download it again") from error


def read_rows(path: Path, *, get: str = "download it") -> list[dict[str, Any]]:
    """Rows of a list: `.json`, `.jsonl`, `.csv` with a header, or `.parquet` (needs pyarrow).

    Raises:
        ConfigError: it is missing, damaged, empty, or its rows are no objects.
    """
    if not path.is_file():
        raise ConfigError(f"annotation file {path} is missing; {get}, or set another path")
    if path.suffix == ".parquet":
        rows: list[Any] = parquet_rows(path)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    elif path.suffix == ".jsonl":
        rows = list(_lines(path))
    else:
        rows = read_json(path, get=get)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{path} holds no list of rows; download it again")
    return rows


def _lines(path: Path) -> Iterator[Any]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"{path} line {number} is not JSON: {error}; download it again") from error


def field(row: dict[str, Any], name: str, where: str) -> Any:
    """A field a row has to have.

    Raises:
        ConfigError: it has not.
    """
    if name not in row:
        raise ConfigError(f"{where} has no `{name}`; it has {', '.join(map(str, row)) or 'nothing'}")
    return row[name]


def find_video(root: Path, name: str) -> Path:
    """A video by its name with its suffix, without, or with another one, or a folder of frames."""
    path = root / name
    return next((found for found in spellings(path) if found.exists()), None) or most_likely(path)
