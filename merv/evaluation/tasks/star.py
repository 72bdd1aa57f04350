"""STAR: four options about a stretch of a Charades video: interaction, sequence, prediction and feasibility.

Wu et al., NeurIPS 2021; https://bobbywu.com/STAR.  Its number is the mean of the four types' accuracies.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.formats.star import question_of
from merv.data.sample import Sample
from merv.evaluation.files import read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.rows import require_answers, strictly


@TaskConfig.register_subclass("star")
@dataclass
class StarConfig(ChoiceConfig):
    """STAR: STAR_val.json and the videos of Charades; `mean_over_types` is the official number."""

    folder: ClassVar[str] = "star"
    file: ClassVar[str] = "STAR_val.json"
    source: ClassVar[str] = "download it from https://bobbywu.com/STAR"
    mean_of_kinds: ClassVar[str] = "mean_over_types"

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = read_rows(path, get=self.source)
        require_answers(rows, "answer", path)
        return [self._sample(row, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row)
        return self.sample_of(asked, where)
