"""STAR: four options about a stretch of a Charades video: interaction, sequence, prediction and feasibility.

Wu et al., NeurIPS 2021; https://bobbywu.com/STAR.  Its number is the mean of the four types' accuracies.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.rows import by_text, require_answers, stretch


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
        name = str(field(row, "question_id", where))
        choices = field(row, "choices", where)
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise ConfigError(f"{where}: choices are {choices!r}; expected a list of objects with `choice`")
        options = [field(choice, "choice", where) for choice in choices]
        return self.question(
            where,
            name=name,
            text=field(row, "question", where),
            options=options,
            answer=by_text(field(row, "answer", where), options),
            video=find_video(self.media_path, str(field(row, "video_id", where))),
            span=stretch(field(row, "start", where), field(row, "end", where), where),
            kind=name.split("_")[0],
        )
