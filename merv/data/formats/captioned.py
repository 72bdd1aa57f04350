"""Reader of images with a caption and a conversation about them, as VaseVQA's training list has them.

A row is `{"images": [path], "caption": text, "conversations": [{"from": "human" | "gpt", "value": text}]}`, with
`<image>` where an image stands (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/model).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.chat import MEDIA, Role, Turn
from merv.data.formats.conversing import checked_text, id_of, in_turn, same_number
from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.media_folder import MediaFolder
from merv.data.formats.role_rows import Reading, read_each
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.video.media import MediaRef

COLUMNS = "images, caption, conversations"
TAG = "<image>"
ROLES: dict[str, Role] = {
    "human": "user",
    "gpt": "assistant",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}


def read(path: Path, media_root: Path, *, dataset: str = "", follow_links: bool = False) -> Reading:
    """Read images with captions and conversations; no image is opened.

    Args:
        path: The list, `.json` or `.jsonl`.
        media_root: Folder the image paths start from; a path that leaves it makes a bad row.
        dataset: Name in reports; the file's name by default.
        follow_links: Accept symbolic links that lead out of `media_root`.

    Raises:
        ConfigError: the file is missing, not UTF-8 text or no list of rows.
    """
    folder, name = MediaFolder(media_root, follow_links), dataset or path.name

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        if not isinstance(row, dict):
            raise SampleError(f"found {described(row)}; expected an object with {COLUMNS}")
        images = _images(row.get("images"), folder)
        meta = {key: value for key, value in row.items() if key not in ("id", "images", "conversations")}
        if "caption" in meta:
            meta["caption"] = checked_text(meta["caption"], "caption")
        turns = _placed(_turns(row.get("conversations")), len(images))
        yield Sample(id_of(row, name, number), turns, images, meta=meta)

    return read_each(json_rows(path, COLUMNS), samples_of, dataset=name, path=path)


def _images(value: Any, folder: MediaFolder) -> tuple[MediaRef, ...]:
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) and path for path in paths):
        raise SampleError(f"field images: found {described(value)}; expected a list of paths")
    return tuple(MediaRef(folder.locate("images", path), "image") for path in paths)


def _turns(conversation: Any) -> list[Turn]:
    """The messages, tags still in them."""
    if not isinstance(conversation, list) or not conversation:
        raise SampleError(f"field conversations: found {described(conversation)}; expected a list of messages")
    turns = []
    for number, message in enumerate(conversation):
        field = f"conversations[{number}]"
        if not isinstance(message, dict):
            raise SampleError(f"field {field}: found {described(message)}; expected an object with from, value")
        speaker = message.get("from")
        if not isinstance(speaker, str) or speaker not in ROLES:
            raise SampleError(f"field {field}.from: found {speaker!r}; expected {', '.join(ROLES)}")
        turns.append(Turn(ROLES[speaker], checked_text(message.get("value"), f"{field}.value")))
    return turns


def _placed(turns: list[Turn], num_images: int) -> tuple[Turn, ...]:
    """The turns with a mark for each tag; without any tag all images stand before the first question."""
    num_tags = sum(turn.text.count(TAG) for turn in turns)
    marked = [Turn(turn.role, turn.text.replace(TAG, MEDIA)) for turn in turns]
    if num_tags == 0:
        first = next((place for place, turn in enumerate(turns) if turn.role == "user"), 0)
        marked[first] = Turn(turns[first].role, MEDIA * num_images + turns[first].text)
    placed = in_turn(marked, "conversations")
    if num_tags:
        same_number(num_tags, num_images, "image")
    return placed
