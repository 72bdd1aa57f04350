"""Reading lists of lines; what is wrong with a file is one line."""

from collections.abc import Iterator
from pathlib import Path

from merv.errors import ConfigError


def text_lines(path: Path) -> Iterator[str]:
    """Lines that are not blank, without the spaces around them.

    Raises:
        ConfigError: the file cannot be read, or is no UTF-8 text.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line.strip() for line in file if line.strip())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing; download it") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason}; download it again") from error
