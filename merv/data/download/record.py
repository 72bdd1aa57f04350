"""download.json: what was fetched into a folder, from which commit, and which archives have been unpacked."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from merv.errors import ConfigError
from merv.space import write_json

FILE = "download.json"


@dataclass
class Fetched:
    """A file that is whole."""

    url: str
    size: int
    sha256: str
    version: str


@dataclass
class UnpackedArchive:
    """An archive whose files are in place."""

    sha256: list[str]
    """Of its parts, in order."""
    num_files: int
    num_bytes: int


@dataclass
class Record:
    """What a folder holds."""

    recipe: str
    licence: str = ""
    pages: list[str] = field(default_factory=list)
    revisions: dict[str, str] = field(default_factory=dict)
    """The commit of each repository."""
    files: dict[str, Fetched] = field(default_factory=dict)
    """By path below the folder; archives stay listed when they have been deleted."""
    unpacked: dict[str, UnpackedArchive] = field(default_factory=dict)
    """By the archive's name."""
    complete: bool = False
    """Whether all of it was there when the last run ended."""

    def save(self, folder: Path) -> None:
        """Write it into the folder, in one step."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, asdict(self))


def read_record(folder: Path, recipe: str) -> Record:
    """What an earlier run of the recipe left in a folder; an empty record where there was none.

    Raises:
        ConfigError: the folder belongs to another recipe, or the file is damaged.
    """
    file = folder / FILE
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        files = {path: Fetched(**entry) for path, entry in data.pop("files").items()}
        unpacked = {name: UnpackedArchive(**entry) for name, entry in data.pop("unpacked").items()}
        record = Record(files=files, unpacked=unpacked, **data)
    except FileNotFoundError:
        return Record(recipe)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{file} is damaged ({error}); delete it, and what is whole is not fetched again") from error
    if record.recipe != recipe:
        raise ConfigError(f"{folder} holds the download `{record.recipe}`; give `{recipe}` another --root")
    return record
