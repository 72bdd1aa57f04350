"""Reader of conversations as messages, one row a line, in two spellings that may be mixed.

Aria's keeps media beside the messages, in the order of their places in them (https://github.com/rhymes-ai/Aria,
docs/custom_dataset.md):
`{"messages": [{"role", "content": [{"type": "video" | "image" | "text", "text"}]}], "images": [path] | null,
"video": {"path", "num_frames"} | null}`.

OpenAI's has them in the content, which may be a string as well: `{"type": "image_url", "image_url": {"url": path}}`,
`{"type": "video", "video": path}`, with `num_frames` beside the messages.  Paths are local.  What else a row holds
goes into the sample's `meta`, where rewards find it.

Two things are merv's own: a medium in the content may have `start` and `end`, the seconds of it that are meant, and a
row may have `"merv": {"span": [start, end], "unplaced": true, "meta": {}}`, for the stretch of the answer, media whose
place in the text means nothing, and what cannot stand beside the messages.
"""

import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, get_args
from urllib.parse import unquote, urlsplit

from merv.chat import MEDIA, Role, Turn
from merv.data.formats.conversing import checked_text, id_of, in_turn, same_number
from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.media_folder import MediaFolder
from merv.data.formats.role_rows import Reading, read_each
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.video.media import MediaKind, MediaRef, Span

log = logging.getLogger(__name__)

ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
FIELDS = ("messages", "images", "video")
OWN = "merv"
"""Field of a row for what messages have no place for."""
KINDS: dict[str, MediaKind] = {"image": "image", "image_url": "image", "video": "video", "video_url": "video"}
NUM_FRAMES = 8
"""What Aria takes where a row says null, 0 or less."""
ADDRESS = re.compile(r"(?!file:)([A-Za-z][A-Za-z0-9+.-]+://|data:)", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where a message shows something."""

    field: str
    kind: MediaKind
    path: Path | None
    """None when the medium stands beside the messages."""
    span: Span | None = None


def read(
    path: Path, media_root: Path, *, dataset: str = "", follow_links: bool = False, prompts_only: bool = False
) -> Reading:
    """Read a list of messages; media are referred to, none is opened.

    Args:
        path: The list, `.jsonl` or `.json`.
        media_root: Folder the media paths start from; a path that leaves it makes a bad row.
        dataset: Name in reports; the file's name by default.
        follow_links: Accept symbolic links that lead out of `media_root`.
        prompts_only: Take rows that end with a question, whose answers are to be sampled.

    Raises:
        ConfigError: the file is missing, not UTF-8 text or no list of rows.
    """
    reader = RowReader(MediaFolder(media_root, follow_links), dataset or path.name, prompts_only)
    reading = read_each(json_rows(path, ", ".join(FIELDS)), reader.samples, dataset=reader.dataset, path=path)
    if reader.without_number:
        log.warning(
            "dataset `%s`: %d rows do not say how many frames to show of their video; %d are taken",
            reader.dataset,
            reader.without_number,
            NUM_FRAMES,
        )
    return reading


class Folder(Protocol):
    """Where media paths start from."""

    def locate(self, name: str, path: str) -> Path:
        """The file at `path`, which the row has in its field `name`; raises SampleError for one to refuse."""


class RowReader:
    """Turns parsed rows into samples, and counts those that leave the number of frames open."""

    def __init__(self, folder: Folder, dataset: str, prompts_only: bool) -> None:
        self.folder = folder
        self.dataset = dataset
        self.prompts_only = prompts_only
        self.without_number = 0

    def samples(self, number: int, row: Any) -> Iterator[Sample]:
        if not isinstance(row, dict):
            raise SampleError(f"found {described(row)}; expected an object with {', '.join(FIELDS)}")
        row_id = id_of(row, self.dataset, number)
        turns, places = self.turns(row.get("messages"))
        beside = self.beside(row)
        for kind in ("image", "video"):
            open_places = sum(place.kind == kind and place.path is None for place in places)
            same_number(open_places, len(beside[kind]), kind)
        media = tuple(MediaRef(place.path or beside[place.kind].pop(0), place.kind, place.span) for place in places)
        meta = {name: value for name, value in row.items() if name not in (*FIELDS, "id", OWN)}
        if row.get("video") is not None:
            meta["num_frames"] = self.num_frames(row["video"].get("num_frames"), "video.num_frames")
        elif "num_frames" in row:
            meta["num_frames"] = self.num_frames(row["num_frames"], "num_frames")
        own = _object(row.get(OWN), OWN)
        if own.get("unplaced"):
            turns = tuple(replace(turn, text=turn.text.replace(MEDIA, "")) for turn in turns)
        meta |= _object(own.get("meta"), f"{OWN}.meta")
        yield Sample(row_id, turns, media, span=_span(own.get("span"), f"{OWN}.span"), meta=meta)

    def turns(self, messages: Any) -> tuple[tuple[Turn, ...], list[Place]]:
        """The messages with a mark at each place, and the places in order."""
        if not isinstance(messages, list) or not messages:
            raise SampleError(f"field messages: found {described(messages)}; expected a list of messages")
        turns, places = [], []
        for number, message in enumerate(messages):
            field = f"messages[{number}]"
            if not isinstance(message, dict):
                raise SampleError(f"field {field}: found {described(message)}; expected an object with role, content")
            role = message.get("role")
            if not isinstance(role, str) or role not in ROLES:
                raise SampleError(f"field {field}.role: found {role!r}; expected {', '.join(ROLES)}")
            pieces = list(self.pieces(message.get("content"), f"{field}.content"))
            places += [piece for piece in pieces if isinstance(piece, Place)]
            text = "".join(MEDIA if isinstance(piece, Place) else piece for piece in pieces)
            turns.append(Turn(ROLES[role], text))
        return in_turn(turns, "messages", answered=not self.prompts_only), places

    def pieces(self, content: Any, field: str) -> Iterator[str | Place]:
        """Words and places of one message."""
        if isinstance(content, str):
            yield checked_text(content, field)
            return
        if not isinstance(content, list) or not content:
            raise SampleError(f"field {field}: found {described(content)}; expected text or a list")
        for number, item in enumerate(content):
            yield self.piece(item, f"{field}[{number}]")

    def piece(self, item: Any, field: str) -> str | Place:
        if not isinstance(item, dict):
            raise SampleError(f"field {field}: found {described(item)}; expected an object with type")
        what = item.get("type")
        if what == "text":
            return checked_text(item.get("text"), f"{field}.text")
        if not isinstance(what, str) or what not in KINDS:
            raise SampleError(f"field {field}.type: found {what!r}; expected text, {', '.join(KINDS)}")
        name = next((name for name in (what, KINDS[what], "path", "url") if item.get(name) is not None), None)
        if name is None:
            return Place(field, KINDS[what], None)
        address = item[name]
        if isinstance(address, dict):
            address = address.get("url", address.get("path"))
        start, end = item.get("start"), item.get("end")
        span = None if start is None and end is None else _span([start or 0.0, end], f"{field}.start")
        return Place(field, KINDS[what], self.local(address, f"{field}.{name}"), span)

    def beside(self, row: dict[str, Any]) -> dict[MediaKind, list[Path]]:
        """What stands beside the messages."""
        images, video = row.get("images"), row.get("video")
        if images is not None and not isinstance(images, list):
            raise SampleError(f"field images: found {described(images)}; expected a list of paths")
        if video is not None and not isinstance(video, dict):
            raise SampleError(f"field video: found {described(video)}; expected an object with path, num_frames")
        if images and video is not None:
            raise SampleError("the row has images and a video; expected one of them")
        return {
            "image": [self.local(path, f"images[{number}]") for number, path in enumerate(images or [])],
            "video": [] if video is None else [self.local(video.get("path"), "video.path")],
        }

    def local(self, address: Any, field: str) -> Path:
        """The file an address names."""
        if not isinstance(address, str) or not address:
            raise SampleError(f"field {field}: found {described(address)}; expected a path")
        if ADDRESS.match(address):
            shown = address if len(address) <= 60 else f"{address[:57]}..."
            raise SampleError(f"field {field}: found {shown!r}; media are read from the disk: save it, give its path")
        if address.lower().startswith("file:"):
            address = _of_file(address, field)
        return self.folder.locate(field, address)

    def num_frames(self, value: Any, field: str) -> int:
        """How many frames to show, with Aria's number where the row leaves it open."""
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise SampleError(f"field {field}: found {described(value)}; expected a whole number")
        if value is None or value <= 0:
            self.without_number += 1
            return NUM_FRAMES
        return value


def _object(value: Any, field: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise SampleError(f"field {field}: found {described(value)}; expected an object")
    return value or {}


def _span(value: Any, field: str) -> Span | None:
    """A stretch as [start, end] in seconds; without an end it lasts as long as the video."""
    if value is None:
        return None
    try:
        start, end = value
        return Span(start, math.inf if end is None else end)
    except (TypeError, ValueError) as error:
        raise SampleError(f"field {field}: found {described(value)}; expected seconds, 0 <= start <= end") from error


def _of_file(address: str, field: str) -> str:
    """The path of a `file:` URL of this machine."""
    try:
        parts = urlsplit(address)
    except ValueError as error:  # such as an unclosed bracket in the host
        raise SampleError(f"field {field}: {address!a} is no address: {error}") from error
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise SampleError(f"field {field}: found {address!a}; expected file:///path")
    return unquote(parts.path)
