"""A dataset in another form: `merv data convert synthetic --to webdataset --out shards`.

`messages` is one JSON row a line, media stay where they are; `webdataset` is tar shards with the media in them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from merv import runtime
from merv.conf.parse import run_main
from merv.data.converting.account import Account
from merv.data.converting.plan import Missing, Plan, make_plan
from merv.data.converting.to_messages import FILE, convert_to_messages
from merv.data.converting.to_shards import convert_to_shards
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.errors import ConfigError
from merv.models.stage import StageName
from merv.runs.words import dataset_named
from merv.space import check_apart, check_free, replaced

logger = logging.getLogger(__name__)

USAGE = "merv data convert NAME --to messages|webdataset --out DIR [--dataset.* options of NAME]"
MEGABYTE = 1_000_000


@dataclass
class DataConvertConfig:
    """Write a dataset in another form: `merv data convert NAME --to messages|webdataset --out DIR`."""

    to: Literal["messages", "webdataset"]
    """`messages` for one JSON row a line, `webdataset` for tar shards with the media in them."""
    out: Path
    """Folder to write."""
    dataset: DatasetConfig = field(default_factory=lambda: DatasetConfig.new("videollava"))
    """What to convert; NAME is its type, `merv list datasets`."""
    stage: StageName = "finetune"
    """Whose rows, of datasets that have others for each stage."""
    limit: int | None = None
    """Take the first so many rows; None takes all."""
    shard_mb: float = 512.0
    """Size of a shard in megabytes of 10^6 bytes."""
    media_root: Path | None = None
    """Folder the paths in messages start from; None means the one all media share."""
    on_missing: Missing | None = None
    """Rows whose media are not there: `stop`, `skip` them and list them, or `keep` them, as messages can.  None means
    stop for shards and keep for messages."""
    overwrite: bool = False
    """Replace a folder that is there."""
    plugins: list[str] = field(default_factory=list)
    """Packages that register datasets of their own."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done.

        Raises:
            ConfigError: options of the other form, or numbers that make no sense.
        """
        if self.out.suffix == ".jsonl":
            raise ConfigError(f"out {self.out} is to be a folder, {FILE} will be in it; write --out {self.out.stem}")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; give at least 1 row, or leave it out")
        if self.shard_mb <= 0:
            raise ConfigError(f"shard_mb is {self.shard_mb:g}; give megabytes above 0")
        if self.to == "webdataset" and self.on_missing == "keep":
            raise ConfigError("on_missing keep: shards hold the media, they cannot do without; write skip or stop")
        if self.to == "webdataset" and self.media_root is not None:
            raise ConfigError(f"media_root {self.media_root} is for messages; shards hold the media: leave it out")


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line, `convert` and the dataset's name among them, as options."""
    return dataset_named(args, "convert", USAGE, flags=("--overwrite",))


def main(args: Sequence[str], write: Callable[[str], None]) -> int:
    """Convert what the words say; gives the exit status."""
    return run_main(lambda config: convert(config, write), DataConvertConfig, named(args), prog="merv data convert")


def convert(config: DataConvertConfig, write: Callable[[str], None]) -> int:
    """Write the folder, by one rename, and say how it is read; gives the exit status.

    Raises:
        ConfigError: `out` is there, the dataset or a medium is missing, or the disk is too small.
    """
    runtime.setup_logging(logging.WARNING)
    check_free(config.out, config.overwrite)
    config.dataset.make()
    source = config.dataset.load(config.stage)
    missing = config.on_missing or ("stop" if config.to == "webdataset" else "keep")
    plan = make_plan(source, config.limit, missing)
    check_apart(config.out, *source.files, *map(Path, plan.folders))
    with replaced(config.out, config.overwrite) as partial:
        to = _shards if config.to == "webdataset" else _messages
        account, reading = to(config, source, plan, partial, missing)
        _pass_on_filters(config, source, account, partial)
    write(f"{config.out} holds {account}\n")
    write(f"train on it: {reading}\n")
    return 0


def _pass_on_filters(config: DataConvertConfig, source: Source, account: Account, folder: Path) -> None:
    """Say in the new folder which filters chose the media, where any did: a run that reads it asks there."""
    from merv.filters.lineage import write_lineage
    from merv.runs.folder import filters_of

    if filters := filters_of(source):
        write_lineage(
            folder,
            command="merv data convert",
            options={"dataset": source.name, "stage": config.stage, "to": config.to, "limit": config.limit},
            sources={},
            model=None,
            counts={"rows": account.num_rows},
            filters=filters,
        )


def _shards(
    config: DataConvertConfig, source: Source, plan: Plan, folder: Path, missing: Missing
) -> tuple[Account, str]:
    size = int(config.shard_mb * MEGABYTE)
    account = convert_to_shards(source, plan, folder, shard_bytes=size, missing=missing)
    return account, f"--dataset.type webdataset --dataset.shards {config.out}"


def _messages(
    config: DataConvertConfig, source: Source, plan: Plan, folder: Path, missing: Missing
) -> tuple[Account, str]:
    written = convert_to_messages(source, plan, folder, media_root=config.media_root, missing=missing)
    root = config.out if written.media_root == folder else written.media_root
    words = f"--dataset.type messages --dataset.annotations {config.out / FILE} --dataset.media_root {root}"
    words += " --dataset.follow_links true" if written.follows_links else ""
    words += "" if written.all_answered else " --dataset.prompts_only true"
    return written.account, words
