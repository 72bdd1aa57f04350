"""LongVideoBench: questions that refer to a moment of a video of eight seconds to one hour, with its subtitles.

Wu et al., NeurIPS 2024; https://github.com/longvideobench/LongVideoBench.  Accuracy is told apart by duration group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.longvideobench import question_of
from merv.data.sample import Sample
from merv.evaluation.files import field, read_rows
from merv.evaluation.published_parsers import longvideobench_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_lmms
from merv.evaluation.tasks.rows import require_answers, strictly
from merv.evaluation.tasks.subtitles import SubtitledConfig, read_timed


def ask_official(question: str, options: Sequence[str], subtitles: str) -> str:
    """LongVideoBench's wording (longvideobench/longvideobench_dataset.py)."""
    return ask_lmms(f"Question: {question}", options, subtitles)


@TaskConfig.register_subclass("longvideobench")
@dataclass
class LongVideoBenchConfig(SubtitledConfig):
    """LongVideoBench: lvb_val.json, or the validation parquet (needs pyarrow).

    `accuracy/15s`, `/60s`, `/600s` and `/3600s` are the official groups.  Subtitles stand before the question; the
    official prompt puts each where it is spoken, between the frames, which our models do not take.
    """

    folder: ClassVar[str] = "longvideobench"
    file: ClassVar[str] = "lvb_val.json"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/longvideobench/LongVideoBench"
    subtitle_place: ClassVar[str] = "subtitles"
    protocols: ClassVar[Mapping[str, Protocol]] = {
        **SHARED,
        "official": Protocol(ask_official, longvideobench_option),
        "lmms-eval": Protocol(ask_lmms, longvideobench_option),
    }

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = read_rows(path, get=self.source)
        require_answers(rows, "correct_choice", path)
        place = self.place() if self.subtitles else None
        return [self._sample(row, place, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], place: Path | None, where: str) -> Sample:
        with strictly(where):
            asked = question_of(row)
        if place is None:
            return self.sample_of(asked, where)
        file = place / str(field(row, "subtitle_path", where))
        lines = read_timed(file, begin=asked.more["begin"], duration=row["duration"])
        return self.sample_of(asked, where, subtitles=self.told(lines))
