"""Archives unpacked without trust in them: nothing is written outside the folder, nor more than a stated size.

Members are checked by tarfile's data filter and by rules of our own, which hold for zip files as well: no absolute
path, no `..`, nothing below a link, no device; a link may only lead to something inside.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from merv.data.download.parts import Joined
from merv.data.download.recipe import leaves
from merv.errors import ConfigError

CHUNK = 1 << 20
READ_SIZE = 1 << 20
DAMAGE: tuple[type[Exception], ...]
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)
DAMAGE += (OSError, ValueError, LookupError, TypeError)
"""What damaged archives raise, and zip files of a method Python lacks: readers index and decode before they check."""
ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


@dataclass
class Unpacked:
    """What came out of an archive."""

    sums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file by its path below the folder."""
    num_bytes: int = 0
    """Of all files."""


def unpack(
    name: str, parts: Sequence[Path], folder: Path, *, limit: int, add: Callable[[int], object] = lambda _: None
) -> Unpacked:
    """Unpack an archive into an empty folder.

    Args:
        name: what it is called, without the number of a part; its ending tells what it is.
        parts: its files, in order.
        folder: where to; it is there already.
        limit: most bytes it may hold.
        add: is told of bytes as they are read.

    Raises:
        ConfigError: it is damaged, holds too much, or a member would leave the folder.
    """
    if not name.endswith(ENDINGS):
        raise ConfigError(f"{name} is no archive merv unpacks: {', '.join(ENDINGS)}")
    box = _Box(name, folder, limit)
    joined = Joined(parts, add)
    with io.BufferedReader(joined, READ_SIZE) as file:
        try:
            if name.endswith(".zip"):
                _unzip(file, joined.size, box)
            else:
                _untar(file, box)
        except ConfigError:
            raise
        except DAMAGE as error:
            if (
                isinstance(error, OSError) and error.errno is not None
            ):  # of the disk; what unpacks raises those without
                raise
            said = " ".join(str(error).split())[:120] or type(error).__name__
            raise ConfigError(
                f"{parts[0]}: the archive is damaged ({said}); delete it{' and its other parts' * (len(parts) > 1)} "
                "and type the same command again"
            ) from error
    box.check_links()
    return box.unpacked


class _Box:
    """The folder an archive is unpacked into, and what may enter it."""

    def __init__(self, name: str, folder: Path, limit: int) -> None:
        self.name, self.folder, self.limit = name, folder, limit
        self.unpacked = Unpacked()
        self._links: list[tuple[str, Path]] = []

    def refuse(self, member: str, cause: str) -> ConfigError:
        """The line about a member."""
        return ConfigError(f"{self.name}: refused member `{member[:200]}`: {cause}; nothing of the archive is kept")

    def path_of(self, member: str) -> Path:
        """Where a file or link goes; the folders above it are made, and what an equal name left there is gone.

        Raises:
            ConfigError: that is not inside, or below a link or a file.
        """
        path = self._inside(member)
        if path == self.folder or (path.is_dir() and not path.is_symlink()):
            raise self.refuse(member, "a folder has its name")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of names that come twice the last one counts, and nothing is written through it
        return path

    def make_folder(self, member: str) -> None:
        """A member that is a folder.

        Raises:
            ConfigError: it is not inside, or below a link or a file.
        """
        path = self._inside(member)
        if path.is_symlink() or path.is_file():
            raise self.refuse(member, "a link or a file has its name")
        path.mkdir(parents=True, exist_ok=True)

    def _inside(self, member: str) -> Path:
        if leaves(member):
            raise self.refuse(member, "its path leaves the folder")
        path = self.folder / member.replace("\\", "/")
        for above in path.parents:
            if above == self.folder or path == self.folder:
                break
            if above.is_symlink() or (above.exists() and not above.is_dir()):
                raise self.refuse(member, "what should be a folder above it is a link or a file")
        return path

    def write(self, member: str, source: IO[bytes]) -> None:
        """A member that is a file.

        Raises:
            ConfigError: it is too much, or leaves the folder.
        """
        path = self.path_of(member)
        hasher = hashlib.sha256()
        with path.open("wb") as out:
            while chunk := source.read(CHUNK):
                self.unpacked.num_bytes += len(chunk)
                if self.unpacked.num_bytes > self.limit:
                    raise self.too_much()
                hasher.update(chunk)
                out.write(chunk)
        self.unpacked.sums[path.relative_to(self.folder).as_posix()] = hasher.hexdigest()

    def link(self, member: str, target: str) -> None:
        """A member that is a symbolic link.

        Raises:
            ConfigError: it leads out of the folder.
        """
        path = self.path_of(member)
        inside = os.path.normpath((path.parent.relative_to(self.folder) / target).as_posix())
        if os.path.isabs(target) or leaves(inside):
            raise self.refuse(member, f"it is a link out of the folder, to `{target[:200]}`")
        path.symlink_to(target)
        self._links.append((member, path))

    def second_name(self, member: str, target: str) -> None:
        """A member that is another name of an earlier file.

        Raises:
            ConfigError: the other one is not inside, or no file.
        """
        known = None if leaves(target) else os.path.normpath(target)
        if known not in self.unpacked.sums:
            raise self.refuse(member, f"it is a link to `{target[:200]}`, which is no file of the archive before it")
        path = self.path_of(member)
        os.link(self.folder / known, path)
        self.unpacked.sums[path.relative_to(self.folder).as_posix()] = self.unpacked.sums[known]

    def check_links(self) -> None:
        """Where links lead once all are there: one may go through another."""
        root = self.folder.resolve()
        for member, path in self._links:
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                raise self.refuse(member, "it leads out of the folder through another link")

    def too_much(self) -> ConfigError:
        """The line about an archive that holds more than it may."""
        return ConfigError(
            f"{self.name} holds more than {self.limit / 1e9:.2f} GB, far more than its size and its recipe lead to "
            "expect; `unpacked` of a recipe of your own (--recipe) raises the limit"
        )


def _untar(file: IO[bytes], box: _Box) -> None:
    """Read a tar file once, from its first byte to its last, whatever packs it."""
    with _loosened(file) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:
        for member in tar:
            _check_tar_member(member, box)
            if member.isdir():
                box.make_folder(member.name)
            elif member.issym():
                box.link(member.name, member.linkname)
            elif member.islnk():
                box.second_name(member.name, member.linkname)
            else:
                source = tar.extractfile(member)
                assert source is not None
                box.write(member.name, source)
        while stream.read(CHUNK):  # the packing's own checksum stands behind the last member
            pass


class _Member(tarfile.TarInfo):
    """A header of which a damaged one is no end of the archive, as it is to tarfile behind the first."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; zeros, and nothing at all, end an archive."""
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise tarfile.ReadError(str(error)) from error
            raise


def _loosened(file: Any) -> Any:
    """The tar file inside a packed one, all of its streams; tarfile's own reader takes the first, and trusts it."""
    head = file.peek(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if head.startswith(b"\xfd7zXZ") else file


def _check_tar_member(member: tarfile.TarInfo, box: _Box) -> None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise box.refuse(member.name, "it is neither file, folder nor link")
    if leaves(member.name):  # the filter would take the slash in front of a path off
        raise box.refuse(member.name, "its path leaves the folder")
    try:
        tarfile.data_filter(member, str(box.folder))
    except tarfile.FilterError as error:
        raise box.refuse(member.name, " ".join(str(error).split())) from error


def _unzip(file: IO[bytes], size: int, box: _Box) -> None:
    """Read a zip file by its list of members, which says beforehand how much there is."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > box.limit:
            raise box.too_much()
        if sum(member.compress_size for member in members) > size:
            raise ConfigError(f"{box.name}: its members overlap; it was made to fill the disk")
        for member in members:
            if member.flag_bits & 1:
                raise box.refuse(member.filename, "it is encrypted")
            _unzip_member(archive, member, box)


def _unzip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, box: _Box) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise box.refuse(member.filename, "it is neither file, folder nor link")
    if kind == stat.S_IFLNK:
        if member.file_size > 4096:
            raise box.refuse(member.filename, "it is a link longer than any path")
        box.link(member.filename, os.fsdecode(archive.read(member)))
    elif member.is_dir():
        box.make_folder(member.filename)
    else:
        with archive.open(member) as source:
            box.write(member.filename, source)


def place(partial: Path, folder: Path) -> None:
    """Move what was unpacked to where it belongs, by renaming; folders that are there are filled up.

    Raises:
        ConfigError: a folder stands where a file belongs, or a file or link where a folder does.
    """
    for path in sorted(partial.iterdir()):
        target = folder / path.name
        is_folder, stands_folder = (entry.is_dir() and not entry.is_symlink() for entry in (path, target))
        if is_folder and stands_folder:
            place(path, target)
        elif stands_folder or (is_folder and os.path.lexists(target)):
            found = "folder" if stands_folder else "link" if target.is_symlink() else "file"
            raise ConfigError(
                f"{target} is a {found} and the archive has a {'folder' if is_folder else 'file'} of that name; move "
                "it away and type the same command again"
            )
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
