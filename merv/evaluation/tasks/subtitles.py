"""Subtitles that benchmarks give beside their videos, and the part of them a prompt can hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from merv.errors import ConfigError
from merv.evaluation.files import read_json, read_rows
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.video.media import Span

_TIMES = re.compile(r"(\d+:\d+:\d+[.,]?\d*)\s*-->\s*(\d+:\d+:\d+[.,]?\d*)")
_TAG = re.compile(r"<[^>]*>")


class Line(NamedTuple):
    """One line of subtitles, in seconds of the video."""

    start: float
    end: float
    text: str


@dataclass
class SubtitledConfig(ChoiceConfig):
    """Options of benchmarks that can be asked with subtitles."""

    subtitle_place: ClassVar[str]
    """Where they are, below the benchmark's folder."""

    subtitles: bool = False
    """Put the video's subtitles before the question.  A video without any is asked about without, and counted."""
    subtitle_path: Path | None = None
    """Where the subtitles are; None means the benchmark's own place below `data_root`."""
    max_subtitles: int | None = 100
    """Lines kept of a video's, spread evenly; None keeps all.  VideoMind keeps 100."""

    def __post_init__(self) -> None:
        """Refuse to keep no line."""
        super().__post_init__()
        if self.max_subtitles is not None and self.max_subtitles < 1:
            raise ConfigError(f"max_subtitles is {self.max_subtitles}; it must be at least 1, or subtitles false")

    @property
    def task_name(self) -> str:
        """The task's name without subtitles, and with them."""
        return f"{super().task_name}-subtitles" if self.subtitles else super().task_name

    def place(self) -> Path:
        """Where the subtitles are.

        Raises:
            ConfigError: there is nothing.
        """
        path = self.subtitle_path or self.data_root / self.folder / self.subtitle_place
        if not path.exists():
            raise ConfigError(f"subtitles {path} are missing; download them, set subtitle_path or subtitles to false")
        return path

    def told(self, lines: Sequence[Line], span: Span | None = None) -> str:
        """The lines of a stretch as text, at most `max_subtitles` of them."""
        heard = [line for line in lines if line.text and (span is None or _meets(line, span))]
        limit = self.max_subtitles or len(heard)
        if len(heard) > limit:
            heard = [heard[(2 * i + 1) * len(heard) // (2 * limit)] for i in range(limit)]
        return "\n".join(line.text for line in heard)


def read_srt(path: Path) -> list[Line]:
    """Lines of a SubRip file without their markup; none when there is no file."""
    if not path.is_file():
        return []
    lines = []
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8-sig", errors="replace")):
        match = _TIMES.search(block)
        if match:
            text = " ".join(_TAG.sub("", block[match.end() :]).split())
            lines.append(Line(seconds(match[1]), seconds(match[2]), text))
    return lines


def read_timed(path: Path, *, begin: float, duration: float) -> list[Line]:
    """LongVideoBench's lines, `{timestamp: [start, end], text}` or `{start, end, line}`; none when there is no file.

    Args:
        path: The JSON file.
        begin: Second of the subtitles at which the video begins.
        duration: Seconds of the video, where a line has no end.

    Raises:
        ConfigError: it holds something else.
    """
    if not path.is_file():
        return []
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ConfigError(f"{path} holds no list of subtitles; download it again")
    try:
        return [_timed(row, begin, duration) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} holds a line without text or times: {error!r}; download it again") from error


def _timed(row: Mapping[str, Any], begin: float, duration: float) -> Line:
    if "timestamp" not in row:
        return Line(seconds(row["start"]) - begin, seconds(row["end"]) - begin, str(row["line"]))
    start, end = row["timestamp"]
    end = end if isinstance(end, int | float) else begin + duration
    return Line(float(start) - begin, float(end) - begin, str(row["text"]))


def read_clip_lines(path: Path) -> dict[str, list[Line]]:
    """TVQA's and VLEP's lines by video name: JSON lines of `{vid_name, sub: [{text, start, end}]}`.

    Raises:
        ConfigError: a row is something else.
    """
    lines = {}
    for number, row in enumerate(read_rows(path)):
        try:
            told = [Line(float(line["start"]), float(line["end"]), str(line["text"])) for line in row["sub"]]
            lines[str(row["vid_name"])] = told
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} row {number} holds no subtitles: {error!r}; download it again") from error
    return lines


def seconds(time: str) -> float:
    """Seconds of `hours:minutes:seconds`, a comma or a dot before their fraction."""
    hours, minutes, rest = time.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def _meets(line: Line, span: Span) -> bool:
    return line.end >= span.start and line.start <= span.end
