"""Perception Test, multiple-choice questions: three options about memory, abstraction, physics and semantics.

Patraucean et al., NeurIPS 2023; https://github.com/google-deepmind/perception_test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.files import field, find_video, read_json
from merv.evaluation.published_parsers import exact_letter
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.merv_form import MervFormConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_lmms
from merv.evaluation.tasks.rows import by_number, require_answers, stretch


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
        rows = [
            (name, video.get("metadata") or {}, row)
            for name, video in videos.items()
            for row in field(video, "mc_question", f"{path} video {name}")
        ]
        require_answers([row for _, _, row in rows], "answer_id", path)
        return [self._sample(name, about, row, f"{path} video {name}") for name, about, row in rows]

    def _sample(self, name: str, about: Mapping[str, Any], row: dict[str, Any], where: str) -> Sample:
        options = field(row, "options", where)
        rate = about.get("frame_rate") or self.fps
        end, total = row.get("end_frame"), about.get("num_frames")
        kind = str(row.get("area", ""))
        return self.question(
            where,
            name=f"{name}_{field(row, 'id', where)}",
            text=field(row, "question", where),
            options=options,
            answer=by_number(field(row, "answer_id", where), options, where),
            video=find_video(self.media_path, name),
            span=stretch(0.0, end / rate, where) if end is not None and rate else None,
            kind=kind,
            groups=[group for group in (kind, str(row.get("reasoning", ""))) if group],
            duration=total / rate if total and rate else None,
            end_frame=end,
        )
