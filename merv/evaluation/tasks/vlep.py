"""VLEP: which of two events is more likely to follow what a clip shows.

Lei et al., EMNLP 2020; https://github.com/jayleicn/VideoLanguageFuturePred, data/README.md.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.rows import by_number, require_answers, stretch
from merv.evaluation.tasks.subtitles import Line, SubtitledConfig, read_clip_lines

QUESTION = "Which of these is more likely to happen next?"
"""The file holds none."""


@TaskConfig.register_subclass("vlep")
@dataclass
class VlepConfig(SubtitledConfig):
    """VLEP: vlep_dev_release.jsonl; the premise (`ts`) of the clip is shown, from a file or a folder of frames."""

    folder: ClassVar[str] = "vlep"
    file: ClassVar[str] = "vlep_dev_release.jsonl"
    source: ClassVar[str] = "download it from https://github.com/jayleicn/VideoLanguageFuturePred"
    subtitle_place: ClassVar[str] = "vlep_subtitles.jsonl"

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = read_rows(path, get=self.source)
        require_answers(rows, "answer", path)
        lines = read_clip_lines(self.place()) if self.subtitles else {}
        return [self._sample(row, lines, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], lines: dict[str, list[Line]], where: str) -> Sample:
        video = str(field(row, "vid_name", where))
        options = field(row, "events", where)
        start, end = (*field(row, "ts", where), None, None)[:2]
        span = stretch(start, end, where)
        return self.question(
            where,
            name=field(row, "example_id", where),
            text=QUESTION,
            options=options,
            answer=by_number(field(row, "answer", where), options, where),
            video=find_video(self.media_path, video),
            span=span,
            subtitles=self.told(lines.get(video, ()), span) if self.subtitles else None,
        )
