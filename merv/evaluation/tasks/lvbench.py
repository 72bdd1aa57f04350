"""LVBench: four options about videos of half an hour to two hours.

Wang et al., 2024; https://github.com/THUDM/LVBench.  A question may have several types and counts in each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.published_parsers import lvbench_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_merv
from merv.evaluation.tasks.rows import by_letter, require_answers
from merv.evaluation.tasks.videomme import without_letters

_OPTION = re.compile(r"\n\s*\([A-H]\)\s*")


@TaskConfig.register_subclass("lvbench")
@dataclass
class LvbenchConfig(ChoiceConfig):
    """LVBench: video_info.meta.jsonl with the questions of each video, or VideoChat-Flash's list of questions.

    `official` reads answers as the repository does; a prompt is not published there, so that it asks as we do.
    """

    folder: ClassVar[str] = "lvbench"
    file: ClassVar[str] = "video_info.meta.jsonl"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/THUDM/LVBench"
    protocols: ClassVar[Mapping[str, Protocol]] = {**SHARED, "official": Protocol(ask_merv, lvbench_option)}

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = []
        for number, row in enumerate(read_rows(path, get=self.source)):
            where = f"{path} row {number}"
            rows += [_opened(asked, row, where) for asked in row["qa"]] if "qa" in row else [_listed(row, where)]
        require_answers(rows, "answer", path)
        return [self._sample(row, i, f"{path} question {i}") for i, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], number: int, where: str) -> Sample:
        kinds = field(row, "question_type", where)
        kinds = kinds if isinstance(kinds, list) else [str(kinds)]
        return self.question(
            where,
            name=row.get("uid", number),
            text=field(row, "question", where),
            options=row["options"],
            answer=by_letter(field(row, "answer", where), row["options"], where),
            video=find_video(self.media_path, row["video"]),
            kind=", ".join(kinds),
            groups=kinds,
            duration=row.get("duration"),
            time_reference=row.get("time_reference"),
        )


def _opened(asked: dict[str, Any], video: dict[str, Any], where: str) -> dict[str, Any]:
    """A question of the official file, whose options stand in its text, one a line."""
    text, *options = _OPTION.split(str(field(asked, "question", where)))
    minutes = (video.get("video_info") or {}).get("duration_minutes")
    duration = None if minutes is None else 60.0 * minutes
    options = [option.strip() for option in options]
    key = str(field(video, "key", where))
    return {**asked, "question": text, "options": options, "video": key, "duration": duration}


def _listed(row: dict[str, Any], where: str) -> dict[str, Any]:
    """A question of VideoChat-Flash's list, whose options and answer begin with their letters."""
    answer = re.match(r"\s*\(([A-H])\)", str(row.get("answer", "")))
    options = without_letters(field(row, "candidates", where))
    told = answer[1] if answer else row.get("answer")
    return {**row, "options": options, "answer": told, "video": str(field(row, "video", where))}
