"""Reads a shard without an index from end to end, once, and gives what an index of it holds.

A sample's JSON member is a row of messages, or a list of rows; its media are the members the row names, or, where it
names none, all of them in order.  A sample with a text member in place of messages is a caption.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from merv.data.formats.messages import OWN
from merv.data.shards.index import Header, line_of
from merv.data.shards.naming import CAPTION, ROW, kind_of, split_name
from merv.data.shards.rows import Shard, sample_of
from merv.errors import ConfigError, SampleError


@dataclass(frozen=True)
class Member:
    """A file of a shard."""

    name: str
    offset: int
    size: int


def scan(path: Path, *, prompt: str, digest: str = "") -> tuple[Header, list[bytes]]:
    """Header and lines of the index of a shard.

    Args:
        path: The shard.
        prompt: What captions answer.
        digest: SHA-256 of the shard, where it is known.

    Raises:
        ConfigError: it is no tar, or cut short.
    """
    lines: list[bytes] = []
    numbers: list[int] = []
    bad: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for place, (key, members) in enumerate(_samples(path)):
            try:
                found = list(_rows(file, members, prompt))
                for row, places in found:
                    row.setdefault("id", key)
                    Shard(path).sample(row, places, dataset=path.name, number=place)
            except SampleError as error:
                bad.append({"row": place, "id": key, "reason": " ".join(str(error).split())})
                continue
            lines += [line_of(row, places) for row, places in found]
            numbers += [_number(row) for row, _ in found]
    if len(set(numbers)) < len(numbers) or -1 in numbers:
        numbers = list(range(len(lines)))
    rows_sha256 = sha256(b"".join(lines)).hexdigest()
    return Header(path.name, path.stat().st_size, digest, len(lines), rows_sha256, numbers, bad), lines


def _samples(path: Path) -> Iterator[tuple[str, list[Member]]]:
    """Keys and members; members of a key that stand apart make several samples, as other readers have it."""

    def members() -> Iterator[Member]:
        try:
            with tarfile.open(path, "r:") as tar:
                for info in tar:
                    if info.isfile():
                        yield Member(info.name, info.offset_data, info.size)
                    tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
                end = tar.offset
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ConfigError(f"shard {path} cannot be read as a tar: {error}; fetch it again") from error
        if path.stat().st_size < end:
            raise ConfigError(f"shard {path} was cut short at byte {path.stat().st_size} of {end}; fetch it again")

    for key, found in groupby(members(), key=lambda member: split_name(member.name)[0]):
        yield key, list(found)


def _rows(file: BinaryIO, members: Sequence[Member], prompt: str) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """The rows of a sample, with the places of their media."""
    by_ending = {split_name(member.name)[1]: member for member in members}
    content: Any = None
    if ROW in by_ending:
        try:
            content = json.loads(_bytes(file, by_ending[ROW]))
        except (ValueError, RecursionError) as error:
            raise SampleError(f"member {by_ending[ROW].name} is not JSON: {error}") from error
    rows = content if isinstance(content, list) else [content]
    if all(isinstance(row, dict) and "messages" in row for row in rows) and rows:
        for row in rows:
            yield _located(row, members)
        return
    if CAPTION not in by_ending:
        found = f"{ROW} member without messages" if content is not None else ", ".join(by_ending)
        raise SampleError(
            f"found {found}; expected a {ROW} member with messages, or a {CAPTION} member with a caption"
        )
    caption = _bytes(file, by_ending[CAPTION]).decode("utf-8", errors="replace").strip()
    yield _captioned(caption, content, members, prompt)


def _captioned(caption: str, facts: Any, members: Sequence[Member], prompt: str) -> tuple[dict[str, Any], list[Any]]:
    """A question with all media before it, and the caption as its answer; what else is told goes into `meta`."""
    shown = _media(members)
    items: list[Any] = [{"type": kind, kind: member.name} for member, kind in shown]
    asked = {"role": "user", "content": [*items, {"type": "text", "text": prompt}]}
    row: dict[str, Any] = {"messages": [asked, {"role": "assistant", "content": caption}]}
    if isinstance(facts, dict) and facts:
        row[OWN] = {"meta": facts}
    return row, [[member.offset, member.size] for member, _ in shown]


def _located(row: dict[str, Any], members: Sequence[Member]) -> tuple[dict[str, Any], list[Any]]:
    """The row, and where its media are: the members it names, or else all media of the sample in order."""
    shown = [member for member, _ in _media(members)]
    if not row.get("images") and not row.get("video"):
        _name_media(row, shown)
    names = [str(ref.path) for ref in sample_of(row, dataset="", number=0).media]
    places = [_place(name, shown) for name in names]
    if None in places:
        if len(names) != len(shown):
            raise SampleError(f"the row shows {len(names)} media, the sample has {len(shown)}; name them in the row")
        places = [[member.offset, member.size] for member in shown]
    return row, places


def _name_media(row: dict[str, Any], shown: Sequence[Member]) -> None:
    """Give media of the text that have no path the names of the members, in order."""
    messages = row["messages"] if isinstance(row["messages"], list) else []
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    items = [item for content in contents if isinstance(content, list) for item in content]
    unnamed = [item for item in items if isinstance(item, dict) and set(item) - {"text"} == {"type"}]
    places = [item for item in unnamed if item["type"] in ("image", "video")]
    if len(places) == len(shown):
        for item, member in zip(places, shown, strict=True):
            item[item["type"]] = member.name


def _place(name: str, shown: Sequence[Member]) -> list[Any] | None:
    """Where a medium is; a name that others begin with is a folder of frames."""
    whole = next((member for member in shown if member.name == name), None)
    if whole is not None:
        return [whole.offset, whole.size]
    return [[member.offset, member.size] for member in shown if member.name.startswith(f"{name}.")] or None


def _media(members: Sequence[Member]) -> list[tuple[Member, str]]:
    """The members that can be shown, with their kinds."""
    kinds = [(member, kind_of(split_name(member.name)[1])) for member in members]
    return [(member, kind) for member, kind in kinds if kind is not None]


def _number(row: dict[str, Any]) -> int:
    """Place of a row in the dataset it was converted from; -1 where it does not say."""
    own = row.get(OWN)
    number = own.get("row") if isinstance(own, dict) else None
    return number if isinstance(number, int) and number >= 0 else -1


def _bytes(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)
