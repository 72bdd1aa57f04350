"""A published dataset or base model onto this disk.

`merv data download nextqa --root data`
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from merv.conf.options import with_value, words_apart
from merv.conf.parse import run_main
from merv.data.download.checksums import SUMS, verify
from merv.data.download.get import Options, get
from merv.data.download.names import recipe_of
from merv.data.download.recipe import Recipe, find_recipe, read_recipe
from merv.data.download.report import names_text
from merv.errors import ConfigError
from merv.runtime import quiet

FLAGS = ("--dry_run", "--dry-run", "--verify", "--originals", "--keep_archives", "--keep-archives")
ROOTS = {"dataset": Path("data"), "model": Path("model_zoo")}
"""Where things go without --root."""


@dataclass
class DataDownloadConfig:
    """Fetch datasets and base models: `merv data download NAME [--root data]`; without a name it lists them."""

    names: list[str] = field(default_factory=list)
    """Recipes, by their names or those of datasets they bring."""
    recipe: Path | None = None
    """A recipe of your own, as a YAML file, in place of names."""
    root: Path | None = None
    """Folder the recipe's folder goes into; None means data for datasets and model_zoo for base models."""
    workers: int = 4
    """Files fetched at a time."""
    dry_run: bool = False
    """Say what would be fetched, how large it is and under which licence, and fetch nothing."""
    verify: bool = False
    """Compare what is here with the checksums written when it was fetched; nothing is fetched."""
    originals: bool = False
    """Original videos, too, where there are compressed ones."""
    keep_archives: bool = True
    """Leave archives where they are once they are unpacked; false deletes them."""

    def __post_init__(self) -> None:
        """Check what belongs together."""
        if self.names and self.recipe is not None:
            raise ConfigError(f"recipe is {self.recipe} and names are {', '.join(self.names)}; give one of them")
        if not 1 <= self.workers <= 64:
            raise ConfigError(f"workers is {self.workers}; it has to be from 1 to 64")

    def recipes(self) -> list[Recipe]:
        """What is asked for; a recipe that stands for others is replaced by them.

        Raises:
            ConfigError: a name or file is not to be had.
        """
        asked = [recipe_of(name) for name in self.names]
        if self.recipe is not None:
            asked.append(read_recipe(self.recipe))
        return list({recipe.name: recipe for one in asked for recipe in _parts(one)}.values())

    def root_of(self, recipe: Recipe) -> Path:
        """Where a recipe's folder goes."""
        return ROOTS[recipe.kind] if self.root is None else self.root


def _parts(recipe: Recipe) -> list[Recipe]:
    """A recipe, or those it stands for, down to the last."""
    if not recipe.includes:
        return [recipe]
    return [part for name in recipe.includes for part in _parts(find_recipe(name))]


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `download` first, as options."""
    for flag in FLAGS:
        args = with_value(flag, args)
    words, options = words_apart(args)
    names = [name for word in words[1:] for name in word.split(",") if name]
    return [*options, "--names", ",".join(names)] if names else options


def main(args: Sequence[str], write: Callable[[str], None]) -> int:
    """`merv data download`; gives the exit status."""
    again = f"merv data {shlex.join(args)}"
    action = partial(data_download, write=write, again=again)
    return run_main(action, DataDownloadConfig, named(args), prog="merv data download")


def data_download(config: DataDownloadConfig, *, write: Callable[[str], None], again: str = "the same command") -> int:
    """Fetch what is asked for; gives the exit status.

    Raises:
        ConfigError: it is not to be had, does not fit, or is not what it should be.
        RunStopped: it was interrupted; what came is kept.
    """
    recipes = config.recipes()
    if not recipes:
        write(names_text())
        return 0
    for recipe in recipes:
        root = config.root_of(recipe)
        if config.verify:
            check_sums(root / recipe.folder, recipe, write, again)
            continue
        options = Options(
            root=root,
            workers=config.workers,
            dry_run=config.dry_run,
            originals=config.originals,
            keep_archives=config.keep_archives,
            write=write,
            again=again,
        )
        with quiet("httpx"), quiet("httpx2"):  # the hub's client tells of every request, under the name it has
            get(recipe, options)
    return 0


def check_sums(folder: Path, recipe: Recipe, write: Callable[[str], None], again: str) -> None:
    """Compare what is here with its checksums.

    Raises:
        ConfigError: files are missing or changed, or there are no checksums.
    """
    verdict = verify(folder)
    parts = [
        f"{len(paths)} {kind} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})"
        for kind, paths in (("missing", verdict.missing), ("changed", verdict.changed))
        if paths
    ]
    if parts:
        fetch = again.replace(" --verify", "")
        raise ConfigError(f"{folder}: {' and '.join(parts)} of {verdict.num_files} files in {SUMS}; {_remedy(fetch)}")
    write(f"{recipe.name}: {verdict.num_files} files in {folder} are as they were fetched\n")


def _remedy(fetch: str) -> str:
    return f"delete download.json there and what is changed, then: {fetch}"
