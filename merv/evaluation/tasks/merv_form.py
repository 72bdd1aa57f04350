"""Any benchmark in the form of MERV's evaluation data: test_q.json with questions, test_a.json with answers.

https://github.com/princetonvisualai/merv, EVALUATION.md and eval_data/dummy_mcq.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.merv_form import answers_beside, by_id, question_of
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.rows import require_answers, strictly


@TaskConfig.register_subclass("merv-mcq")
@dataclass
class MervFormConfig(ChoiceConfig):
    """Lists of `{video_name, question_id, question, options, [time], [end_frame]}` and of `{question_id, answer_id}`.

    `time` is the stretch to show, [start, end] in seconds, where an end of null is the video's.
    """

    folder: ClassVar[str] = "merv_mcq"
    file: ClassVar[str] = "test_q.json"
    source: ClassVar[str] = "make it as https://github.com/princetonvisualai/merv, EVALUATION.md, describes"

    answers: Path | None = None
    """The list of answers; None means the one beside the questions that ends in `_a` where these end in `_q`."""
    fps: float | None = None
    """Frames a second of all videos, to end a clip at its `end_frame`; None shows all of it, as MERV does."""

    def read(self) -> list[Sample]:
        """All questions of the pair."""
        path = self.annotation_path
        if self.answers is None and not path.stem.endswith("_q"):
            raise ConfigError(f"{path} does not say which file has its answers; set `answers`")
        answers = self.answers or answers_beside(path)
        rows = read_rows(answers, get=self.source)
        require_answers(rows, "answer_id", answers)
        known = by_id(rows, answers)
        return [self._paired(row, known, f"{path} row {i}") for i, row in enumerate(read_rows(path, get=self.source))]

    def _paired(self, row: dict[str, Any], known: dict[str, Any], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, known, self.fps)
        return self.sample_of(asked, where, end_frame=asked.more["end_frame"])
