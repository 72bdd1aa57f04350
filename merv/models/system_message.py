"""A system message as an option: the words themselves, or a file with them."""

from pathlib import Path

from merv.errors import ConfigError

LONGEST_PATH = 255
"""Characters; a longer text names no file."""


def message_of(option: str) -> str:
    """The message, or that of the file it names.

    Args:
        option: a text; a file's name when there is such a file, or when it ends in .txt or .md.

    Raises:
        ConfigError: the file is missing, or no UTF-8 text.
    """
    if not option or len(option) > LONGEST_PATH or "\n" in option:
        return option
    path = Path(option).expanduser()
    if not path.is_file():
        if path.suffix in (".txt", ".md"):
            raise ConfigError(f"system: there is no file {path}; name a file, or write the message itself")
        return option
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"system: {path} cannot be read: {error}; save it as UTF-8 text") from error
