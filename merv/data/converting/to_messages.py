"""A dataset as messages, one row a line, which the dataset `messages` reads back; media stay where they are."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from merv.data.converting.account import MISSING, UNTOLD, Account
from merv.data.converting.plan import Missing, Plan, places
from merv.data.dataset import Source
from merv.data.formats.media_folder import MediaFolder
from merv.data.formats.messages_writing import row_of
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError
from merv.video.media import MediaRef

FILE = "messages.jsonl"


@dataclass(frozen=True)
class Written:
    """What was written, and what it takes to read it."""

    account: Account
    media_root: Path
    """Folder the paths start from."""
    follows_links: bool
    """Whether media lie outside of it, behind symbolic links."""
    all_answered: bool
    """Whether every row ends with an answer."""


def convert_to_messages(
    source: Source, plan: Plan, folder: Path, *, media_root: Path | None, missing: Missing
) -> Written:
    """Write `messages.jsonl` into a folder that is there.

    Args:
        source: What to convert.
        plan: What `make_plan` found of it.
        folder: Where to.
        media_root: Folder the media paths start from; None takes the one all media share.
        missing: What happens to rows whose media are not there; `keep` does not look.

    Raises:
        ConfigError: a file is missing, lies outside of `media_root` or in a shard, or nothing could be written.
    """
    root = media_root or plan.folder or folder
    account = Account(folder, source)
    with (folder / FILE).open("w", encoding="utf-8") as file:
        writer = _Writer(file, root)
        for number in range(len(plan.groups)):
            sample = source[number]
            try:
                if missing == "skip":
                    for ref in sample.media:
                        places(ref)
            except SampleError as error:
                account.leave_out(number, sample, str(error), MISSING)
                continue
            try:
                writer.write(sample, f"row {source.origin(number)[1]} (id `{sample.id}`)")
            except SampleError as error:
                account.leave_out(number, sample, str(error), UNTOLD)
                continue
            account.wrote(1)
    if not account.num_rows:
        raise ConfigError(f"dataset `{source.name}`: no row can be written; {account}")
    return Written(account, root, writer.follows_links, writer.all_answered)


class _Writer:
    """Writes rows and notes what a reader has to be told."""

    def __init__(self, file: TextIO, root: Path) -> None:
        self.file = file
        self.root = root
        self.follows_links = False
        self.all_answered = True
        self._strict, self._lax = MediaFolder(root), MediaFolder(root, follow_links=True)

    def write(self, sample: Sample, where: str) -> None:
        row = row_of(sample, [self._name(ref, where) for ref in sample.media])
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.all_answered &= sample.turns[-1].role == "assistant"

    def _name(self, ref: MediaRef, where: str) -> str:
        """The path of a medium as the row tells it."""
        if ref.within is not None:
            raise ConfigError(f"{where} shows `{ref.where}`, part of a shard; messages name files: --to webdataset")
        name = os.path.relpath(ref.path, self.root)
        if name.split(os.sep)[0] == os.pardir:
            raise ConfigError(f"{where} shows `{ref.path}`, outside of {self.root}; name a --media_root above it")
        self._lax.locate("path", name)
        try:
            self._strict.locate("path", name)
        except SampleError:
            self.follows_links = True
        return name
