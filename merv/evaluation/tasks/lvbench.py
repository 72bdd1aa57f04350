"""LVBench: four options about videos of half an hour to two hours.

Wang et al., 2024; https://github.com/THUDM/LVBench.  A question may have several types and counts in each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.formats.lvbench import asked, question_of
from merv.data.sample import Sample
from merv.evaluation.files import read_rows
from merv.evaluation.published_parsers import lvbench_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_merv
from merv.evaluation.tasks.rows import require_answers, strictly


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
        rows = list(asked(read_rows(path, get=self.source)))
        require_answers(rows, "answer", path)
        return [self._sample(row, number, f"{path} question {number}") for number, row in enumerate(rows)]

    def _sample(self, row: Any, number: int, where: str) -> Sample:
        with strictly(where):
            question = question_of(row, number)
        return self.sample_of(question, where, time_reference=question.more["time_reference"])
