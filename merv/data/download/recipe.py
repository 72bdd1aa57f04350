"""Recipes: where the files of a dataset or a base model are, under which licence, and how they lie once unpacked.

One YAML a name in `recipes/`, or a file of one's own.  What a page does not tell stands as unknown; sizes and lists of
files come from the server in any case, before anything is transferred.
"""

import re
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import draccus
import yaml
from draccus.utils import DraccusException

from merv.errors import ConfigError
from merv.registry import did_you_mean

FOLDER = Path(__file__).parent / "recipes"
UNKNOWN = "unknown"
REPO = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """Files of one repository of the hub, or of plain addresses."""

    dataset: str | None = None
    """Repository of a dataset, as owner/name."""
    model: str | None = None
    """Repository of a model, as owner/name."""
    revision: str = "main"
    """Commit, tag or branch; what a branch stands for is recorded with what was fetched."""
    folder: str = ""
    """Folder of the repository to take; it is left off the names here.  Empty takes all of it."""
    files: list[str] = field(default_factory=lambda: ["*"])
    """Patterns of the files to take, below `folder`; a star goes through folders."""
    leave_out: list[str] = field(default_factory=list)
    """Patterns of files not to take."""
    originals: str | None = None
    """Pattern of original videos, which are left out where the repository has compressed ones."""
    compressed: str | None = None
    """Pattern of the compressed videos that stand for the originals."""
    urls: dict[str, str] = field(default_factory=dict)
    """Plain addresses by the name a file has here."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Known checksums by the name a file has here."""
    into: str = "."
    """Folder for the files, below the recipe's."""

    @property
    def repo(self) -> str | None:
        """The repository; None for plain addresses."""
        return self.dataset or self.model

    @property
    def page(self) -> str:
        """Where a person reads about it."""
        if self.repo is None:
            return next(iter(self.urls.values()), "")
        return f"https://huggingface.co/{'datasets/' if self.dataset else ''}{self.repo}"


@dataclass(frozen=True)
class Unpacking:
    """Archives to unpack once they are here; parts `.00`, `.01` or `.001`, `.002` are one archive."""

    files: str
    """Pattern of their names, below the recipe's folder."""
    into: str | None = None
    """Folder they are unpacked in, below the recipe's; None means where they lie."""


@dataclass(frozen=True)
class Recipe:
    """One name of `merv data download`."""

    what: str
    """In one line, for people."""
    page: str
    """Where it is described, and its licence can be read."""
    name: str = ""
    """What people type; empty means the name of the file."""
    kind: Literal["dataset", "model"] = "dataset"
    """Datasets go below data, models below model_zoo, unless --root says otherwise."""
    folder: str = "."
    """Where its files go, below the root."""
    licence: str = UNKNOWN
    """As the page states it."""
    size: int | None = None
    """Bytes to transfer; None where no page tells."""
    unpacked: int | None = None
    """Bytes of what the archives hold; None where no page tells."""
    sources: list[Source] = field(default_factory=list)
    """Where the files are."""
    archives: list[Unpacking] = field(default_factory=list)
    """What is unpacked."""
    tree: list[str] = field(default_factory=list)
    """What has to be there in the end, below `folder`; folders end in a slash and hold something."""
    needs: list[str] = field(default_factory=list)
    """Recipes it is of no use without: the videos its lists are about, the base of an adapter."""
    includes: list[str] = field(default_factory=list)
    """Recipes it stands for, in place of sources of its own."""
    datasets: list[str] = field(default_factory=list)
    """Registered datasets it brings the files of, beside one of its own name; `-` and `_` are one letter to a name."""

    @property
    def pages(self) -> list[str]:
        """Where the licence can be read, each page once."""
        return list(dict.fromkeys([self.page, *(source.page for source in self.sources if source.repo)]))


def available() -> list[str]:
    """Names of the recipes merv has, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe_for(name: str) -> str | None:
    """The recipe that brings the files of a dataset or base model; None where merv has none.

    Args:
        name: that of a recipe or a registered dataset, with `-` or `_`, in capital or small letters.
    """
    return _by_name().get(one_spelling(name))


@cache
def find_recipe(name: str) -> Recipe:
    """The recipe of a name, that of a dataset it brings included.

    Raises:
        ConfigError: there is none.
    """
    known = recipe_for(name)
    if known is None:
        names = {*available(), *(dataset for recipe in _recipes() for dataset in recipe.datasets)}
        tail = did_you_mean(name, names).partition("? ")[0].removesuffix("?")
        near = f"{tail}? " if tail.startswith("did you mean") else ""
        raise ConfigError(f"no recipe `{name}`; {near}`merv data download` lists them, --recipe FILE reads your own")
    return read_recipe(FOLDER / f"{known}.yaml")


def one_spelling(name: str) -> str:
    """A name as it is compared: people write `qvhighlights-qa` and `qvhighlights_qa`."""
    return name.lower().replace("-", "_")


@cache
def _recipes() -> list[Recipe]:
    return [read_recipe(FOLDER / f"{name}.yaml") for name in available()]


@cache
def _by_name() -> dict[str, str]:
    """Names of recipes by all that brings one."""
    return {one_spelling(name): recipe.name for recipe in _recipes() for name in (recipe.name, *recipe.datasets)}


def read_recipe(file: Path) -> Recipe:
    """A recipe of a YAML file.

    Raises:
        ConfigError: it cannot be read, says something unknown, or a path in it leaves the folder.
    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ConfigError(f"recipe {file} holds no fields; it needs what, page and sources at least")
        recipe = draccus.decode(Recipe, data)
    except FileNotFoundError as error:
        raise ConfigError(f"recipe {file} is missing") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, DraccusException, TypeError, AttributeError) as error:
        raise ConfigError(f"recipe {file}: {' '.join(str(error).split())[:200]}") from error
    _check(recipe, file)
    return recipe if recipe.name else replace(recipe, name=file.stem)


def _check(recipe: Recipe, file: Path) -> None:
    """Refuse what no download can follow."""
    for source in recipe.sources:
        given = [kind for kind in ("dataset", "model", "urls") if getattr(source, kind)]
        if len(given) != 1:
            raise ConfigError(f"recipe {file}: a source has {' and '.join(given) or 'none'} of dataset, model, urls")
        _check_values(source, file)
    if bool(recipe.sources) == bool(recipe.includes):
        raise ConfigError(f"recipe {file}: give it either sources or includes")
    paths = [recipe.folder, *recipe.tree]
    paths += [path for source in recipe.sources for path in (source.into, *source.urls)]
    paths += [unpacking.into for unpacking in recipe.archives if unpacking.into is not None]
    for path in paths:
        if leaves(path):
            raise ConfigError(f"recipe {file}: `{path}` leaves the folder of the download")


def _check_values(source: Source, file: Path) -> None:
    """Refuse what is no repository, address, name or checksum."""
    if source.repo is not None and not REPO.fullmatch(source.repo):
        raise ConfigError(f"recipe {file}: `{source.repo}` is no repository of the hub; write owner/name")
    for name, url in source.urls.items():
        if not str(url).startswith(("https://", "http://")):
            raise ConfigError(f"recipe {file}: `{url}` is no address; it begins with https://")
        if PurePosixPath(name) == PurePosixPath():
            raise ConfigError(f"recipe {file}: {url} has no name; write it in front of the address")
    for name, digest in source.sha256.items():
        if not SHA256.fullmatch(digest):
            raise ConfigError(f"recipe {file}: `{digest}` is no SHA-256 of {name}; it has 64 digits, 0-9 and a-f")


def leaves(path: str) -> bool:
    """Whether a path of somebody else's could lead out of the folder it is put into."""
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or "\0" in path or (len(path) > 1 and path[1] == ":")
