"""EgoSchema: five options about three minutes of what somebody does, seen with their eyes.

Mangalam et al., NeurIPS 2023; https://github.com/egoschema/EgoSchema.  Answers are published for 500 of 5031.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import field, find_video, read_json
from merv.evaluation.published_parsers import lmms_egoschema_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_lmms
from merv.evaluation.tasks.rows import by_number

DURATION_S = 180.0
"""Every clip is three minutes long (section 3 of the paper)."""


@TaskConfig.register_subclass("egoschema")
@dataclass
class EgoschemaConfig(ChoiceConfig):
    """EgoSchema's subset with answers: questions.json and subset_answers.json; the others are not asked."""

    folder: ClassVar[str] = "egoschema"
    file: ClassVar[str] = "questions.json"
    source: ClassVar[str] = "download it from https://github.com/egoschema/EgoSchema"
    protocols: ClassVar[Mapping[str, Protocol]] = {**SHARED, "lmms-eval": Protocol(ask_lmms, lmms_egoschema_option)}

    answers: Path | None = None
    """JSON of {q_uid: number of the right option}; None means subset_answers.json beside the questions."""

    def read(self) -> list[Sample]:
        """The questions whose answers are known."""
        path = self.annotation_path
        answers_path = self.answers or path.with_name("subset_answers.json")
        answers = read_json(answers_path, get=self.source)
        if not isinstance(answers, dict):
            raise ConfigError(f"{answers_path} holds no object of answers; download it again")
        known = [(row, where) for row, where in self.rows() if field(row, "q_uid", where) in answers]
        if not known:
            raise ConfigError(f"{answers_path} answers no question of {path}; take both from one download")
        return [self._sample(row, answers[row["q_uid"]], where) for row, where in known]

    def _sample(self, row: dict[str, Any], answer: Any, where: str) -> Sample:
        options = [field(row, f"option {i}", where) for i in range(5)]
        return self.question(
            where,
            name=row["q_uid"],
            text=field(row, "question", where),
            options=options,
            answer=by_number(answer, options, where),
            video=find_video(self.media_path, row["q_uid"]),
            duration=DURATION_S,
        )
