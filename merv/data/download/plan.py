"""What of a listing is still to be fetched and unpacked, and how much room on the disk that takes."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from merv.data.download.checksums import SUMS, file_sum, read_sums
from merv.data.download.listing import Listing, RemoteFile, local
from merv.data.download.parts import grouped
from merv.data.download.recipe import Recipe
from merv.data.download.record import Fetched, Record
from merv.data.download.transfer import part_of


@dataclass
class Plan:
    """What is to be done in a folder."""

    folder: Path
    listing: Listing
    record: Record
    archives: dict[str, list[RemoteFile]] = field(default_factory=dict)
    """Archives still to unpack, and their parts."""
    missing: list[RemoteFile] = field(default_factory=list)
    """Files to fetch."""
    num_begun: int = 0
    """Bytes of them that an earlier run left."""

    @property
    def num_bytes(self) -> int:
        """Of the files to fetch."""
        return sum(file.size or 0 for file in self.missing)

    @property
    def num_packed(self) -> int:
        """Bytes of the archives to unpack."""
        return sum(file.size or 0 for parts in self.archives.values() for file in parts)


def make_plan(recipe: Recipe, folder: Path, listing: Listing, record: Record) -> Plan:
    """What of a listing is not here yet.

    Raises:
        ConfigError: a part of an archive is missing in the listing.
    """
    plan = Plan(folder, listing, record)
    if lost(recipe, folder, record):
        record.unpacked.clear()
    by_path = {file.path: file for file in listing.files}
    packed = [path for path in by_path if any(fnmatchcase(path, archive.files) for archive in recipe.archives)]
    done: set[str] = set()
    for name, parts in grouped(packed).items():
        if is_unpacked(record, name, [by_path[part] for part in parts]):
            done.update(parts)
        else:
            plan.archives[name] = [by_path[part] for part in parts]
    for file in listing.files:
        if file.path not in done and not is_here(folder, file, record):
            plan.missing.append(file)
            part = part_of(local(folder, file), file)
            plan.num_begun += part.stat().st_size if part.is_file() else 0
    return plan


def lost(recipe: Recipe, folder: Path, record: Record) -> list[str]:
    """Files that came out of archives and are gone."""
    if not record.unpacked or not (folder / SUMS).is_file():
        return []
    listed = [path for path in read_sums(folder) if path not in record.files and not is_archive(recipe, path)]
    return [path for path in listed if not (folder / path).is_file()]


def is_here(folder: Path, file: RemoteFile, record: Record) -> bool:
    """Whether a file is whole; one without a record is hashed, where there is something to compare with."""
    target = local(folder, file)
    if not target.is_file() or (file.size is not None and target.stat().st_size != file.size):
        return False
    known = record.files.get(file.path)
    if known is None and file.size is not None:
        digest = file_sum(target)
        if file.sha256 not in (None, digest):
            return False
        record.files[file.path] = Fetched(file.url, file.size, digest, file.version)
        return True
    return known is not None and known.version == file.version and file.sha256 in (None, known.sha256)


def is_unpacked(record: Record, name: str, parts: list[RemoteFile]) -> bool:
    """Whether these very parts have been unpacked and put in place."""
    known = [record.files.get(part.path) for part in parts]
    same = all(entry is not None and entry.version == part.version for entry, part in zip(known, parts, strict=True))
    done = record.unpacked.get(name)
    return same and done is not None and done.sha256 == [entry.sha256 for entry in known if entry]


def needed(recipe: Recipe, plan: Plan) -> int:
    """Bytes of disk for what is still to fetch and to unpack; what archives hold is guessed where nobody says."""
    packed = sum(file.size or 0 for file in plan.listing.files if is_archive(recipe, file.path))
    holds = recipe.unpacked if recipe.unpacked is not None else packed
    share = plan.num_packed / packed if packed else 0.0
    return plan.num_bytes - plan.num_begun + int(holds * share)


def is_archive(recipe: Recipe, path: str) -> bool:
    return any(fnmatchcase(path, archive.files) for archive in recipe.archives)


def into(recipe: Recipe, parts: list[RemoteFile]) -> str:
    """The folder an archive is unpacked in, below the recipe's."""
    first = parts[0].path
    chosen = next(archive.into for archive in recipe.archives if fnmatchcase(first, archive.files))
    return str(PurePosixPath(first).parent) if chosen is None else chosen
