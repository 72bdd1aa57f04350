"""Perception Test, multiple-choice questions: three options about memory, abstraction, physics and semantics.

Patraucean et al., NeurIPS 2023; https://github.com/google-deepmind/perception_test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.perception_test import asked, question_of
from merv.data.sample import Sample
from merv.evaluation.files import field, read_json
from merv.evaluation.published_parsers import exact_letter
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.merv_form import MervFormConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_lmms
from merv.evaluation.tasks.rows import require_answers, strictly


@TaskConfig.register_subclass("perception-test")
@dataclass
class PerceptionTestConfig(MervFormConfig):
    """Perception Test's own file, {video: {metadata, mc_question}}, or a pair in MERV's form as `annotations`.

    An `end_frame`, up to which the video is to be shown, ends the clip where the frames a second are known: from
    `metadata` or from `fps`.
    """

    folder: ClassVar[str] = "perception_test"
    file: ClassVar[str] = "mc_question_valid.json"
    source: ClassVar[str] = "download it from https://github.com/google-deepmind/perception_test"
    protocols: ClassVar[Mapping[str, Protocol]] = {**SHARED, "lmms-eval": Protocol(ask_lmms, exact_letter)}

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        videos = read_json(path, get=self.source)
        return self._official(videos, path) if isinstance(videos, dict) else super().read()

    def _official(self, videos: Mapping[str, Any], path: Path) -> list[Sample]:
        for name, about in videos.items():
            field(about, "mc_question", f"{path} video {name}")
        rows = list(asked(videos))
        require_answers(rows, "answer_id", path)
        return [self._sample(row, f"{path} video {row['video']}") for row in rows]

    def _sample(self, row: dict[str, Any], where: str) -> Sample:
        with strictly(where):
            question = question_of(row, self.fps)
        return self.sample_of(question, where, end_frame=question.more["end_frame"])
