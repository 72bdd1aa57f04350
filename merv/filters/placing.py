"""Where a filter puts the images it has chosen: copied, linked, or named in a list.

An image keeps its path below the folder it was found in, so that a/1.jpg and b/1.jpg stay two images.
"""

import os
import shutil
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Literal

from merv.errors import ConfigError

Mode = Literal["copy", "link", "list"]
"""copy: files of their own.  link: hard links, or symbolic ones where the disk is another.  list: only their names."""


def place(source: Path, folder: Path, *, root: Path, mode: Mode) -> Path | None:
    """Put an image into `folder`; a file that is there is never replaced, the new one gets a number behind its name.

    Args:
        source: the image.
        folder: where it belongs; made when it is not there.
        root: the folder the image was found in: what lies between is kept.
        mode: how; with "list" nothing is put, see `write_list`.

    Returns:
        Where it is now; None with "list".

    Raises:
        ConfigError: `folder` is `root`, or lies in it: the next look into `root` would find what was put there.
        OSError: the disk is full, or cannot be written to.
    """
    if mode == "list":
        return None
    if folder.is_relative_to(root):
        raise ConfigError(_inside(folder, root))
    wanted = folder / source.relative_to(root)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        try:
            if mode == "copy":
                _copy(source, target)
            else:
                _link(source, target)
        except FileExistsError:
            continue
        return target
    raise AssertionError("unreachable")


def check_outside(out: Path, root: Path) -> None:
    """Refuse to write into the folder that is read, once and for links, too.

    Raises:
        ConfigError: `out` is `root`, or lies in it.
    """
    if out.resolve().is_relative_to(root.resolve()):
        raise ConfigError(_inside(out, root))


def write_list(file: Path, sources: Iterable[Path]) -> None:
    """Write absolute paths, a line each, and none of the file before all of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(
        "".join(f"{source.absolute()}\n" for source in sources), encoding="utf-8", errors="surrogateescape"
    )
    os.replace(partial, file)


def _inside(out: Path, root: Path) -> str:
    return f"{out} lies in {root}, which is read: its images would be found again; name an --out beside it"


def _copy(source: Path, target: Path) -> None:
    """Copy to another name, then give it its own unless that is taken."""
    if target.exists():
        raise FileExistsError(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copy2(source, partial)
        try:
            os.link(partial, target)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except FileExistsError:
        raise
    except OSError:  # another disk, or one without hard links
        target.symlink_to(source.resolve())
