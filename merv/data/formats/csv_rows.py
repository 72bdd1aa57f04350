"""Reading CSV lists: rows as objects of texts; what is wrong with a file is one line."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from merv.errors import ConfigError


def csv_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a list whose first line names its columns.

    Args:
        path: The file.
        columns: What it has to have.

    Raises:
        ConfigError: the file cannot be read, is no UTF-8 text or no CSV, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = list(reader)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; download it") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} is no CSV: {error}; download it again") from error
    if missing:
        raise ConfigError(f"{path} has no column {', '.join(missing)}; download it again")
    return rows
