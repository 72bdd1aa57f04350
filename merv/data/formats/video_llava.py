"""Reader of the training lists of Video-LLaVA and LLaVA: one conversation a row, about a video, an image or nothing.

A row is `{"id", "video" | "image": path or list of paths, "conversations": [{"from": "human"|"gpt", "value": text}]}`;
the file is a JSON list or, ending in `.jsonl`, one row a line (https://github.com/PKU-YuanGroup/Video-LLaVA,
https://github.com/haotian-liu/LLaVA).
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from merv.data.formats.json_rows import described, json_rows
from merv.data.ledger import BadRow
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.video.media import MediaKind, MediaRef

ROLES: dict[str, Literal["user", "assistant", "system"]] = {"human": "user", "gpt": "assistant", "system": "system"}
MEDIA_KINDS: tuple[MediaKind, ...] = ("image", "video")


@dataclass
class ReadResult:
    """The rows of a file: what can be used, where it stood, and what cannot."""

    samples: list[Sample] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Row number in the file of each sample."""
    bad_rows: list[BadRow] = field(default_factory=list)


class _BadValue(ValueError):
    """A row that is not as it should be; the message becomes the reason of a `BadRow`."""


def read(
    path: Path,
    media_root: Path,
    *,
    dataset: str = "",
    expected: str = "",
    keep_video_token: bool = False,
    follow_links: bool = False,
) -> ReadResult:
    """Read an annotation file; media are referred to, none is opened.

    Args:
        path: The list, `.json` or `.jsonl`.
        media_root: Folder the media paths of the rows start from; a path that leaves it makes a bad row.
        dataset: Name used in reports; the file's name by default.
        expected: The tree a user should have, shown when something is missing.
        keep_video_token: Leave `<video>` in the text.  The MERV authors' trainer removes only `<image>`.
        follow_links: Accept symbolic links that lead out of `media_root`.

    Raises:
        ConfigError: the file or the folder is missing, or the file is not a list of rows.
    """
    remedy = "download it or set another path"
    if expected:
        remedy += "; the dataset looks like this:"
    if not path.is_file():
        raise ConfigError(f"annotation file {path} is missing; {remedy}", below=expected)
    if not media_root.is_dir():
        raise ConfigError(f"media folder {media_root} is missing; {remedy}", below=expected)
    tokens = ("<image>",) if keep_video_token else ("<image>", "<video>")
    reader = _RowReader(_MediaFolder(media_root, follow_links), tokens)
    result = ReadResult()
    number = -1
    for number, row in enumerate(json_rows(path, "id, video or image, conversations")):
        try:
            result.samples.append(reader.sample(number, row))
            result.rows.append(number)
        except _BadValue as error:
            row_id = str(row.get("id", number)) if isinstance(row, dict) else str(number)
            result.bad_rows.append(BadRow(dataset or path.name, number, row_id, str(path), str(error)))
    if number < 0:
        raise ConfigError(f"{path} holds no rows; download it again or set another path")
    return result


class _RowReader:
    """Turns parsed rows into samples."""

    def __init__(self, folder: "_MediaFolder", tokens: tuple[str, ...]) -> None:
        self.folder = folder
        self.placeholder = re.compile("(?:" + "|".join(map(re.escape, tokens)) + r")\n?")

    def sample(self, number: int, row: Any) -> Sample:
        if isinstance(row, json.JSONDecodeError):
            raise _BadValue(f"not JSON: {row.msg} at column {row.colno}")
        if not isinstance(row, dict):
            raise _BadValue(f"found {described(row)}; expected an object with id, video or image, conversations")
        row_id = row.get("id", number)
        if isinstance(row_id, bool) or not isinstance(row_id, str | int):
            raise _BadValue(f"field id: found {described(row_id)}; expected a string or a number")
        media = tuple(
            MediaRef(self.folder.locate(name, path), name)
            for name in MEDIA_KINDS
            for path in _paths(name, row.get(name))
        )
        return Sample(id=str(row_id), turns=self.turns(row.get("conversations")), media=media)

    def turns(self, conversation: Any) -> tuple[Turn, ...]:
        if not isinstance(conversation, list) or not conversation:
            raise _BadValue(f"field conversations: found {described(conversation)}; expected a list of messages")
        turns = [self.turn(i, message) for i, message in enumerate(conversation)]
        system = turns[:1] if turns[0].role == "system" else []
        spoken = turns[len(system) :]
        while spoken and spoken[0].role == "assistant":  # LLaVA's trainer also drops answers before the first question
            spoken.pop(0)
        for i, turn in enumerate(spoken):
            expected = "assistant" if i % 2 else "user"
            if turn.role != expected:
                raise _BadValue(
                    f"field conversations: human and gpt do not take turns, spoken message {i} is {turn.role}"
                )
        if len(spoken) < 2:
            raise _BadValue("field conversations: found no gpt message that answers a human one")
        return (*system, *spoken)

    def turn(self, i: int, message: Any) -> Turn:
        if not isinstance(message, dict):
            raise _BadValue(
                f"field conversations[{i}]: found {described(message)}; expected an object with from, value"
            )
        speaker, text = message.get("from"), message.get("value")
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise _BadValue(f"field conversations[{i}].from: found {speaker!r}; expected {', '.join(ROLES)}")
        if not isinstance(text, str):
            raise _BadValue(f"field conversations[{i}].value: found {described(text)}; expected text")
        return Turn(ROLES[speaker], self.placeholder.sub("", text).strip())


class _MediaFolder:
    """Joins relative paths to a root and refuses those that lead out of it.

    A training list has a million rows: each folder is looked at once, no file is.
    """

    def __init__(self, root: Path, follow_links: bool) -> None:
        self.root = root
        self.follow_links = follow_links
        self._real_root = os.path.realpath(root)
        self._links: dict[str, frozenset[str] | None] = {}

    def locate(self, name: str, path: str) -> Path:
        lexical = os.path.normpath(os.path.join(self.root, path))
        root = os.path.normpath(self.root)
        inside = path if not os.path.isabs(path) else os.path.relpath(path, os.path.abspath(root))
        if "\0" in path or os.path.normpath(inside).split(os.sep)[0] == "..":
            raise _BadValue(f"field {name}: {path!r} leads out of {self.root}")
        if not self.follow_links:
            self._check_links(name, path, lexical)
        return Path(lexical)

    def _check_links(self, name: str, path: str, lexical: str) -> None:
        folder, file = os.path.split(lexical)
        if folder not in self._links:
            self._links[folder] = self._list_links(folder)
        links = self._links[folder]
        if links is None or (file in links and not self._is_inside(lexical)):
            raise _BadValue(
                f"field {name}: {path!r} leads out of {self.root} by a symbolic link; set follow_links to accept it"
            )

    def _list_links(self, folder: str) -> frozenset[str] | None:
        """Names of the links in a folder; None when the folder itself lies outside."""
        if not self._is_inside(folder):
            return None
        if not os.path.isdir(folder):
            return frozenset()
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_symlink())

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(os.path.join(self._real_root, ""))


def _paths(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise _BadValue(f"field {name}: found {described(value)}; expected a path or a list of paths")
    return paths
