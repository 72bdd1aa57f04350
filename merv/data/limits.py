"""Which rows of a reading a dataset takes: limits on seconds and words, and an account of what was left out."""

import logging
import os
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from merv.data.dataset import Source
from merv.data.formats.lazy_samples import Picked
from merv.data.formats.role_rows import Reading
from merv.data.formats.text_lines import text_lines
from merv.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass
class Limits:
    """Options of datasets whose rows may be left out by their length."""

    min_video_len: float | None = None
    """Seconds; rows about shorter videos are left out.  None for no limit; rows without a duration stay."""
    max_video_len: float | None = None
    """Seconds; rows about longer videos are left out.  None for no limit."""
    min_num_words: int | None = None
    """Rows whose query or question has fewer words are left out; None for no limit."""
    max_num_words: int | None = None
    """Rows whose query or question has more words are left out; None for no limit."""
    keep_media: Path | None = None
    """List of media, a path a line, such as `merv filter ... --mode list` writes: rows that show others are left out.
    Relative paths start from the list's folder; None keeps all."""

    def __post_init__(self) -> None:
        """Check the limits."""
        for unit in ("video_len", "num_words"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise ConfigError(f"min_{unit} is {least:g} and max_{unit} {most:g}; that leaves no row")

    def within(self, reading: Reading, *, name: str, files: Sequence[Path]) -> Source:
        """The rows within the limits, as the dataset `name`; what is left out is counted in the log.

        Raises:
            ConfigError: no row can be used.
        """
        left_out = Counter(reading.skipped)
        kept = array("I")
        for place, (seconds, num_words) in enumerate(zip(reading.seconds, reading.num_words, strict=True)):
            if reason := self._beyond(seconds, num_words):
                left_out[reason] += 1
            else:
                kept.append(place)
        if self.keep_media is not None:
            before, kept = len(kept), self._listed(reading, kept)
            left_out += Counter({f"showing media that {self.keep_media.name} does not list": before - len(kept)})
        num_cut = sum(reading.num_cut[place] for place in kept)
        account = _account(reading, len(kept), left_out, num_cut)
        if not kept:
            empty = f"{files[0] if files else name} holds no rows; download it again or set another path"
            found = f"none of its rows can be used; {account}" if reading.num_rows else empty
            raise ConfigError(f"dataset `{name}`: {found}")
        log.info("dataset `%s`: %s", name, account)
        samples = reading.samples if len(kept) == len(reading.samples) else Picked(reading.samples, kept)
        rows = array("I", (reading.rows[place] for place in kept))
        return Source(name, samples, reading.bad_rows, rows, files, dict(left_out), num_cut)

    def _listed(self, reading: Reading, places: array) -> array:
        """Places of samples whose media are all listed."""
        assert self.keep_media is not None
        folder = self.keep_media.parent
        listed = {os.path.abspath(folder / line) for line in text_lines(self.keep_media)}
        chosen = (
            place
            for place in places
            if all(os.path.abspath(ref.path) in listed for ref in reading.samples[place].media)
        )
        return array("I", chosen)

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


def _account(reading: Reading, num_kept: int, left_out: Counter[str], num_cut: int) -> str:
    """`12 samples of 30 rows; bad: 1, the first, row 3: ...; left out: 15 with several windows, 2 with more ...`."""
    text = f"{num_kept} samples of {reading.num_rows} rows"
    if reading.bad_rows:
        first = reading.bad_rows[0]
        text += f"; bad: {len(reading.bad_rows)}, the first, row {first.row}: {first.reason}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
    text += f"; left out: {reasons}" if reasons else ""
    return text + (f"; {num_cut} windows cut to their videos" if num_cut else "")
