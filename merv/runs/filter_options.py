"""What the filters by CLIP and by likeness are asked alike: a folder to read, a folder to write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merv.conf.options import with_value, words_apart
from merv.errors import ConfigError
from merv.filters.images import find_images, total_size
from merv.filters.lineage import write_lineage
from merv.filters.placing import Mode, check_outside
from merv.space import check_apart, check_free, check_space

FLAGS = ("--overwrite", "--recursive", "--analyze", "--normalize_first", "--normalize-first")
"""Options that may stand alone."""


@dataclass(kw_only=True)
class FolderOptions:
    """A folder of images and what becomes of them."""

    folder: Path
    """Images to look at; may stand without its name."""
    out: Path
    """Folder to write; it appears when everything in it is there."""
    mode: Mode = "copy"
    """copy puts files, link hard links (symbolic ones to another disk), list only text files with their paths."""
    recursive: bool = True
    """Look into the folders below, too; an image keeps its path below the folder."""
    overwrite: bool = False
    """Replace a folder that is there."""

    def find_images(self) -> list[Path]:
        """The images, once it is clear that there is a place for what comes out.

        Raises:
            ConfigError: `out` is there, or lies in `folder` or around it; there is no folder, or no image in it.
        """
        check_free(self.out, self.overwrite)
        check_apart(self.out, self.folder)
        paths = find_images(self.folder, recursive=self.recursive)
        check_outside(self.out, self.folder)
        return paths

    def check_room(self, paths: Sequence[Path]) -> None:
        """Refuse to begin what would fill the disk.

        Raises:
            ConfigError: the images are to be copied, and there is no room for them.
        """
        if self.mode == "copy":
            check_space(self.out, total_size(paths))

    def write_lineage(
        self, into: Path, command: str, paths: Sequence[Path], *, model: dict[str, Any] | None, **counts: int
    ) -> None:
        """Leave in the new folder what later filters and trainings say about where their images come from.

        Args:
            into: where `out` is being written.
            command: the filter's word.
            paths: the images that were found.
            model: what chose; None when no model did.
            counts: images by what became of them.
        """
        options = {name: value for name, value in vars(self).items() if name != "folder"}
        write_lineage(
            into,
            command=f"merv filter {command}",
            options=options,
            sources={self.folder: paths},
            model=model,
            counts=counts,
        )


def told(*lines: str, out: Path, num_unreadable: int) -> str:
    """The last words of a filter."""
    missing = [f"{num_unreadable} images could not be read; the report names them"] if num_unreadable else []
    return "\n".join([*lines, *missing, f"written to {out}", ""])


def named(args: Sequence[str], command: str) -> list[str]:
    """The words of a command line, the command's own and the folder among them, as options.

    Raises:
        ConfigError: a word that belongs to no option.
    """
    for flag in FLAGS:
        args = with_value(flag, args)
    words, options = words_apart(args)
    words.remove(command)
    if len(words) > 1:
        raise ConfigError(f"`{words[1]}` is no option: merv filter {command} DIR --out OUT [options]")
    if words and any(option.partition("=")[0] == "--folder" for option in options):
        raise ConfigError(f"`{words[0]}` stands beside --folder; name the folder in one way")
    return [f"--folder={word}" for word in words] + options
