"""The dataset `webdataset`: tar shards, on the disk or at a URL, that `merv data convert` or others wrote."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.shards.index import Header
from merv.data.shards.listing import find_shards
from merv.data.shards.scan import scan
from merv.data.shards.source import ShardSource
from merv.errors import ConfigError

log = logging.getLogger(__name__)


@DatasetConfig.register_subclass("webdataset")
@dataclass
class WebDatasetConfig(DatasetConfig):
    """Conversations and their media in tar shards, as `merv data convert --to webdataset` writes them."""

    shards: str = "data/shards"
    """Folder of the shards, one shard, a pattern (`shards/*.tar`, `shards/{000000..000017}.tar`), or a URL of these
    (https://, s3://, file:// and what else fsspec knows)."""
    cache_dir: Path = Path("data/shard-cache")
    """Folder for shards fetched from a URL, and for indexes of shards that came without one."""
    cache_gb: float | None = None
    """Gigabytes of 10^9 bytes of fetched shards to keep; those longest not used go first.  None keeps all."""
    prompt: str = "Describe what is shown."
    """What captions answer: samples of others that have a text member and no messages."""
    verify: bool = False
    """Compare shards on the disk with their checksums before anything is read; fetched ones always are."""

    def __post_init__(self) -> None:
        """Refuse a cache that can hold nothing."""
        if self.cache_gb is not None and self.cache_gb <= 0:
            raise ConfigError(f"cache_gb is {self.cache_gb:g}; give gigabytes, or none for no limit")

    def load(self, stage: str) -> Source:
        """Read the indexes, the same rows for every stage.

        Raises:
            ConfigError: there are no shards, one is missing, damaged or cannot be reached, or no row can be used.
        """
        found = find_shards(
            self.shards,
            cache=self.cache_dir,
            cache_gb=self.cache_gb,
            scan=partial(_scan, prompt=self.prompt),
            verify=self.verify,
        )
        source = ShardSource(self.name, list(found))
        if not len(source):
            first = f"; the first of {len(source.bad_rows)}: {source.bad_rows[0].reason}" if source.bad_rows else ""
            raise ConfigError(f"dataset `{self.name}`: no row of {self.shards} can be used{first}")
        log.info("dataset `%s`: %d samples in %d shards", self.name, len(source), len(source.files))
        return source


def _scan(path: Path, digest: str, *, prompt: str) -> tuple[Header, list[bytes]]:
    log.info("%s has no index; it is read once", path)
    return scan(path, prompt=prompt, digest=digest)
