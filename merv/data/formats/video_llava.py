"""Reader of the training lists of Video-LLaVA and LLaVA: one conversation a row, about a video, an image or nothing.

A row is `{"id", "video" | "image": path or list of paths, "conversations": [{"from": "human"|"gpt", "value": text}]}`;
the file is a JSON list or, ending in `.jsonl`, one row a line (https://github.com/PKU-YuanGroup/Video-LLaVA,
https://github.com/haotian-liu/LLaVA).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.media_folder import MediaFolder
from merv.data.formats.role_rows import Reading, read_each
from merv.data.role_files import brought_by
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaKind, MediaRef

ROLES: dict[str, Literal["user", "assistant", "system"]] = {"human": "user", "gpt": "assistant", "system": "system"}
MEDIA_KINDS: tuple[MediaKind, ...] = ("image", "video")


def read(
    path: Path,
    media_root: Path,
    *,
    dataset: str = "",
    expected: str = "",
    keep_video_token: bool = False,
    follow_links: bool = False,
) -> Reading:
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
    remedy = f"download it or set another path{brought_by(dataset)}"
    if expected:
        remedy += "; the dataset looks like this:"
    if not path.is_file():
        raise ConfigError(f"annotation file {path} is missing; {remedy}", below=expected)
    if not media_root.is_dir():
        raise ConfigError(f"media folder {media_root} is missing; {remedy}", below=expected)
    tokens = ("<image>",) if keep_video_token else ("<image>", "<video>")
    reader = _RowReader(MediaFolder(media_root, follow_links), tokens)
    rows = json_rows(path, "id, video or image, conversations")
    reading = read_each(rows, reader.samples, dataset=dataset or path.name, path=path)
    if not reading.num_rows:
        raise ConfigError(f"{path} holds no rows; download it again or set another path")
    return reading


class _RowReader:
    """Turns parsed rows into samples."""

    def __init__(self, folder: MediaFolder, tokens: tuple[str, ...]) -> None:
        self.folder = folder
        self.placeholder = re.compile("(?:" + "|".join(map(re.escape, tokens)) + r")\n?")

    def samples(self, number: int, row: Any) -> Iterator[Sample]:
        if not isinstance(row, dict):
            raise SampleError(f"found {described(row)}; expected an object with id, video or image, conversations")
        row_id = number if row.get("id") is None else row["id"]
        if isinstance(row_id, bool) or not isinstance(row_id, str | int):
            raise SampleError(f"field id: found {described(row_id)}; expected a string or a number")
        media = tuple(
            MediaRef(self.folder.locate(name, path), name)
            for name in MEDIA_KINDS
            for path in _paths(name, row.get(name))
        )
        yield Sample(id=str(row_id), turns=self.turns(row.get("conversations")), media=media)

    def turns(self, conversation: Any) -> tuple[Turn, ...]:
        if not isinstance(conversation, list) or not conversation:
            raise SampleError(f"field conversations: found {described(conversation)}; expected a list of messages")
        turns = [self.turn(i, message) for i, message in enumerate(conversation)]
        system = turns[:1] if turns[0].role == "system" else []
        spoken = turns[len(system) :]
        while spoken and spoken[0].role == "assistant":  # LLaVA's trainer also drops answers before the first question
            spoken.pop(0)
        for i, turn in enumerate(spoken):
            expected = "assistant" if i % 2 else "user"
            if turn.role != expected:
                raise SampleError(
                    f"field conversations: human and gpt do not take turns, spoken message {i} is {turn.role}"
                )
        if len(spoken) < 2:
            raise SampleError("field conversations: found no gpt message that answers a human one")
        return (*system, *spoken)

    def turn(self, i: int, message: Any) -> Turn:
        if not isinstance(message, dict):
            raise SampleError(
                f"field conversations[{i}]: found {described(message)}; expected an object with from, value"
            )
        speaker, text = message.get("from"), message.get("value")
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise SampleError(f"field conversations[{i}].from: found {speaker!r}; expected {', '.join(ROLES)}")
        if not isinstance(text, str):
            raise SampleError(f"field conversations[{i}].value: found {described(text)}; expected text")
        return Turn(ROLES[speaker], self.placeholder.sub("", text).strip())


def _paths(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise SampleError(f"field {name}: found {described(value)}; expected a path or a list of paths")
    return paths
