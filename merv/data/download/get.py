"""A recipe carried out: what there is, whether it fits, fetched, unpacked, looked through.  Doing it again goes on."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from merv.data.download.checksums import SUMS, read_sums, write_sums
from merv.data.download.fetch import fetch
from merv.data.download.listing import RemoteFile, list_files, local
from merv.data.download.lock import locked
from merv.data.download.plan import Plan, into, is_archive, make_plan, needed
from merv.data.download.progress import Progress
from merv.data.download.recipe import Recipe
from merv.data.download.record import Fetched, Record, UnpackedArchive, read_record
from merv.data.download.report import plan_text
from merv.data.download.transfer import FULL, disk_full
from merv.data.download.tree import lacking
from merv.data.download.unpack import place, unpack
from merv.errors import ConfigError, RunStopped
from merv.space import check_space

MOST_UNPACKED = 30
"""Times its own size that an archive may hold, where the recipe does not say: videos pack by 1, lists by 10."""
SMALL = 100_000_000
"""Bytes any archive may hold."""


@dataclass(frozen=True)
class Options:
    """How recipes are carried out."""

    root: Path
    """Folder the recipe's folder is in."""
    workers: int = 4
    """Files fetched at a time."""
    dry_run: bool = False
    """Say what would be fetched, and fetch nothing."""
    originals: bool = False
    """Original videos, too, where there are compressed ones."""
    keep_archives: bool = True
    """Leave archives where they are once they are unpacked."""
    write: Callable[[str], object] = print
    """Takes lines for people."""
    again: str = "the same command"
    """What goes on with an interrupted download, for messages."""


def get(recipe: Recipe, options: Options) -> bool:
    """Bring what a recipe names to the disk; gives whether all of it is there.

    Raises:
        ConfigError: it cannot be had, does not fit on the disk, or is not what it should be.
        RunStopped: somebody pressed Ctrl-C; what came is kept.
    """
    folder = options.root / recipe.folder
    record = read_record(folder, recipe.name)
    try:
        listing = list_files(recipe, originals=options.originals)
    except ConfigError as error:
        if not options.dry_run:
            raise
        options.write(plan_text(recipe, folder) + f"  sizes      are those of the recipe: {error}\n")
        return False
    plan = make_plan(recipe, folder, listing, record)
    room = needed(recipe, plan)
    options.write(plan_text(recipe, folder, plan.listing, num_left=plan.num_bytes - plan.num_begun, room=room))
    if options.dry_run:
        return False
    check_space(folder, room, option="--root")
    with locked(folder):
        sums = _carry_out(recipe, plan, options)
        _finish(recipe, plan, options, sums)
    return True


def _carry_out(recipe: Recipe, plan: Plan, options: Options) -> dict[str, str]:
    """Fetch and unpack; gives the checksums of what was unpacked."""
    record, sums = plan.record, dict[str, str]()
    record.licence, record.pages, record.revisions = recipe.licence, recipe.pages, plan.listing.revisions
    record.complete = record.complete and not plan.missing and not plan.archives
    with Progress(plan.num_bytes + plan.num_packed, options.write) as progress:
        try:
            _fetch(plan, progress, options)
            for name in plan.archives:
                _unpack(recipe, plan, name, progress, options, sums)
        except KeyboardInterrupt as error:
            line = f"interrupted at {progress.text()}; what came is kept, to go on: {options.again}"
            raise RunStopped(line) from error
        finally:
            with suppress(OSError):  # a full disk is told by what filled it
                record.save(plan.folder)
    return sums


def _fetch(plan: Plan, progress: Progress, options: Options) -> None:
    """Fetch what is missing; each file is recorded when it is whole."""
    if not plan.missing:
        return
    progress.say("fetching")
    for file in plan.missing:
        _make_way(plan, file, options)
    plan.record.save(plan.folder)

    def done(file: RemoteFile, digest: str) -> None:
        size = local(plan.folder, file).stat().st_size
        plan.record.files[file.path] = Fetched(file.url, size, digest, file.version)
        plan.record.save(plan.folder)

    fetch(
        plan.missing,
        plan.folder,
        workers=options.workers,
        progress=progress,
        again=options.again,
        done=done,
    )


def _make_way(plan: Plan, file: RemoteFile, options: Options) -> None:
    """Leave a file that no download brought its bytes, under another name.

    Raises:
        ConfigError: a folder has the file's name.
    """
    target = local(plan.folder, file)
    if target.is_dir():
        raise ConfigError(f"{target} is a folder, and a file of that name is to be fetched; move it away")
    if target.is_file() and file.path not in plan.record.files:
        names = (f"{target.name}.before{number or ''}" for number in count())
        other = next(path for path in map(target.with_name, names) if not path.exists())
        target.rename(other)
        options.write(f"  kept       {target} is another file than the one to fetch; it is {other.name} now\n")


def _unpack(recipe: Recipe, plan: Plan, name: str, progress: Progress, options: Options, sums: dict[str, str]) -> None:
    """Unpack one archive beside its place, then move what it holds there."""
    parts = [local(plan.folder, file) for file in plan.archives[name]]
    size = sum(part.stat().st_size for part in parts)
    limit = recipe.unpacked if recipe.unpacked is not None else max(MOST_UNPACKED * size, SMALL)
    progress.say(f"unpacking {PurePosixPath(name).name}")
    partial = plan.folder / f".{PurePosixPath(name).name}.unpacking"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    below = into(recipe, plan.archives[name])
    try:
        result = unpack(PurePosixPath(name).name, parts, partial, limit=limit, add=progress.add)
        place(partial, plan.folder / below)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ConfigError(disk_full(parts[0], size, options.again)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sums.update({(PurePosixPath(below) / path).as_posix(): digest for path, digest in result.sums.items()})
    digests = [plan.record.files[file.path].sha256 for file in plan.archives[name]]
    plan.record.unpacked[name] = UnpackedArchive(digests, len(result.sums), result.num_bytes)
    _add_sums(recipe, plan, sums)
    plan.record.save(plan.folder)


def _add_sums(recipe: Recipe, plan: Plan, sums: dict[str, str]) -> None:
    """Checksums of what came now beside those of earlier runs; only archives may leave the list."""
    earlier = read_sums(plan.folder) if (plan.folder / SUMS).is_file() else {}
    fetched = {path: entry.sha256 for path, entry in plan.record.files.items()}
    every = {**earlier, **fetched, **sums}
    gone = {path for path in every if is_archive(recipe, path) and not (plan.folder / path).is_file()}
    write_sums(plan.folder, {path: digest for path, digest in every.items() if path not in gone})


def _finish(recipe: Recipe, plan: Plan, options: Options, sums: dict[str, str]) -> None:
    """Look whether all is there; delete archives that are not to be kept; write the checksums.

    Raises:
        ConfigError: something a recipe promises is not there.
    """
    if missing := lacking(plan.folder, recipe.tree):
        raise ConfigError(
            f"{plan.folder} lacks {', '.join(missing)} after everything was fetched and unpacked: what is published "
            f"lies otherwise; move it there if the folder holds it, or see {recipe.page}"
        )
    if not options.keep_archives:
        for file in plan.listing.files:
            if is_archive(recipe, file.path):
                local(plan.folder, file).unlink(missing_ok=True)
    _add_sums(recipe, plan, sums)
    plan.record.complete = True
    plan.record.save(plan.folder)
    options.write(
        f"  complete   {plan.folder}: {len(plan.listing.files)} files fetched, {_unpacked_text(plan.record)}\n"
    )


def _unpacked_text(record: Record) -> str:
    if not record.unpacked:
        return f"checksums in {SUMS}"
    count = sum(archive.num_files for archive in record.unpacked.values())
    total = sum(archive.num_bytes for archive in record.unpacked.values())
    return f"{count} more of {total / 1e9:.2f} GB unpacked, checksums in {SUMS}"
