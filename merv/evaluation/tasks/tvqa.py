"""TVQA: five options about a minute of a television series and its dialogue.

Lei et al., EMNLP 2018; https://github.com/jayleicn/TVQA, data/README.md.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.rows import by_number, require_answers, stretch
from merv.evaluation.tasks.subtitles import Line, SubtitledConfig, read_clip_lines
from merv.video.media import Span

UNKNOWN = Span(10.0, 30.0)
"""What TVQA's own code (preprocessing.py) takes where a question's times are no numbers."""


@TaskConfig.register_subclass("tvqa")
@dataclass
class TvqaConfig(SubtitledConfig):
    """TVQA: tvqa_val.jsonl; videos as files, or as folders of frames, three a second, `met_frames/met_s06...`."""

    folder: ClassVar[str] = "tvqa"
    file: ClassVar[str] = "tvqa_val.jsonl"
    source: ClassVar[str] = "download it from https://github.com/jayleicn/TVQA"
    subtitle_place: ClassVar[str] = "tvqa_preprocessed_subtitles.jsonl"

    localized: bool = True
    """Show, and quote, the stretch alone that the question is about (`ts`); false shows the whole clip."""

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = read_rows(path, get=self.source)
        require_answers(rows, "answer_idx", path)
        lines = read_clip_lines(self.place()) if self.subtitles else {}
        return [self._sample(row, lines, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], lines: dict[str, list[Line]], where: str) -> Sample:
        video = str(field(row, "vid_name", where))
        options = [str(field(row, f"a{i}", where)) for i in range(5)]
        span = _span(field(row, "ts", where), where) if self.localized else None
        return self.question(
            where,
            name=field(row, "qid", where),
            text=field(row, "q", where),
            options=options,
            answer=by_number(field(row, "answer_idx", where), options, where),
            video=find_clip(self.media_path, video),
            span=span,
            kind=str(row.get("show_name", "")),
            subtitles=self.told(lines.get(video, ()), span) if self.subtitles else None,
        )


def find_clip(root: Path, name: str) -> Path:
    """A clip below `root`, or below the folder of its series; clips of The Big Bang Theory are called by no series."""
    series = "bbt" if re.match(r"s\d+e\d+_", name) else name.split("_")[0]
    nested = root / f"{series}_frames" / name
    return nested if nested.exists() else find_video(root, name)


def _span(times: Any, where: str) -> Span:
    """The stretch of `76.01-84.2`."""
    start, _, end = str(times).partition("-")
    if "nan" in (start.strip().lower(), end.strip().lower()):
        return UNKNOWN
    return stretch(start, end, where)
