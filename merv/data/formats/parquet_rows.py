"""Reading parquet, the form in which the hub serves tables; pyarrow is an extra."""

from pathlib import Path
from typing import Any

from merv.errors import ConfigError


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table, lists as lists.

    Raises:
        ConfigError: pyarrow is not installed, or the file is missing or no parquet.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(f"{path} is parquet, which needs pyarrow: pip install 'merv[parquet]'") from error
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; download it") from error
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is no parquet: {reason}; download it again") from error
    return rows
