"""What datasets for models with roles share: files in a known layout, and the limits VideoMind trains within."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.formats.role_rows import Reading
from merv.data.limits import Limits
from merv.data.role_files import brought_by, missing_line, tree
from merv.errors import ConfigError


@dataclass
class RoleDatasetConfig(Limits, DatasetConfig):
    """Options of every dataset for models with roles."""

    dataset_root_dir: Path = Path("data")
    """Folder of the sets' folders."""
    min_video_len: float | None = 5.0
    """Seconds; rows about shorter videos are left out.  None for no limit; rows without a duration stay."""
    max_video_len: float | None = 500.0
    """Seconds; rows about longer videos are left out.  None for no limit."""
    min_num_words: int | None = None
    """Rows whose query or question has fewer words are left out; None for no limit."""
    max_num_words: int | None = 200
    """Rows whose query or question has more words are left out; None for no limit."""

    published: ClassVar[str] = "https://huggingface.co/datasets/yeliudev/VideoMind-Dataset"
    """Where the files come from."""

    def files(self) -> list[Path]:
        """Files and folders the set needs; the first is what rows are numbered in."""
        raise TypeError(f"{type(self).__name__} does not define files()")

    def read(self) -> Reading:
        """All rows of the set, whatever their length."""
        raise TypeError(f"{type(self).__name__} does not define read()")

    def missing(self) -> list[Path]:
        """Those of `files` that are not there."""
        return [path for path in self.files() if not path.exists()]

    def load(self, stage: str) -> Source:
        """Read the rows within the limits, the same for every training stage; what is left out is counted in the log.

        Raises:
            ConfigError: a file is missing or cannot be read, or no row can be used.
        """
        return self._loaded(self.missing())

    def load_rows(self, stage: str) -> Source:
        """The same without the folders of videos, which only sets need that take the rows whose video is there."""
        return self._loaded(lists_among(self.missing()))

    def _loaded(self, missing: list[Path]) -> Source:
        if missing:
            line = f"dataset `{self.name}`: {missing_line(missing)}; download it from {self.published} or set "
            line += f"dataset_root_dir{brought_by(self.name)}; it looks like this:"
            raise ConfigError(line, below=tree(self.files()))
        return self.within(self.read(), name=self.name, files=[path for path in self.files() if path.is_file()])


def lists_among(paths: list[Path]) -> list[Path]:
    """Those of a set's files that are no folders of media, by their names."""
    return [path for path in paths if path.suffix]
