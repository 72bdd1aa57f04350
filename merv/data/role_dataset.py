"""What datasets for models with roles share: files in a known layout, limits, and an account of what was left out."""

import logging
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.formats.lazy_samples import Picked
from merv.data.formats.role_rows import Reading
from merv.data.role_files import missing_line, tree
from merv.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass
class RoleDatasetConfig(DatasetConfig):
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

    def __post_init__(self) -> None:
        """Check the limits."""
        for unit in ("video_len", "num_words"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise ConfigError(f"min_{unit} is {least:g} and max_{unit} {most:g}; that leaves no row")

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
        if missing := self.missing():
            line = f"dataset `{self.name}`: {missing_line(missing)}; download it from {self.published} or set "
            raise ConfigError(line + "dataset_root_dir; it looks like this:", below=tree(self.files()))
        reading = self.read()
        left_out = Counter(reading.skipped)
        kept = array("I")
        for place, (seconds, num_words) in enumerate(zip(reading.seconds, reading.num_words, strict=True)):
            if reason := self._beyond(seconds, num_words):
                left_out[reason] += 1
            else:
                kept.append(place)
        account = _account(reading, len(kept), left_out)
        if not kept:
            raise ConfigError(f"dataset `{self.name}`: none of its rows can be used; {account}")
        log.info("dataset `%s`: %s", self.name, account)
        samples = Picked(reading.samples, kept)
        rows = array("I", (reading.rows[place] for place in kept))
        files = [path for path in self.files() if path.is_file()]
        return Source(self.name, samples, reading.bad_rows, rows, files, dict(left_out), reading.num_cut)

    def _beyond(self, seconds: float, num_words: int) -> str:
        """Which limit a row is beyond; empty for none.  Rows without a duration (nan) are beyond none of them."""
        if self.min_video_len is not None and seconds < self.min_video_len:
            return f"about videos shorter than {self.min_video_len:g} s"
        if self.max_video_len is not None and seconds > self.max_video_len:
            return f"about videos longer than {self.max_video_len:g} s"
        if self.min_num_words is not None and num_words < self.min_num_words:
            return f"with fewer than {self.min_num_words} words"
        if self.max_num_words is not None and num_words > self.max_num_words:
            return f"with more than {self.max_num_words} words"
        return ""


def _account(reading: Reading, num_kept: int, left_out: Counter[str]) -> str:
    """`12 samples of 30 rows; bad: 1; left out: 15 with several windows, 2 about videos longer than 500 s`."""
    text = f"{num_kept} samples of {reading.num_rows} rows"
    if reading.bad_rows:
        text += f"; bad: {len(reading.bad_rows)}, the first: {reading.bad_rows[0].reason}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
    text += f"; left out: {reasons}" if reasons else ""
    return text + (f"; {reading.num_cut} windows cut to their videos" if reading.num_cut else "")
