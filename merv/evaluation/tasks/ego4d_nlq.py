"""Ego4D natural language queries: where in minutes of somebody's own camera is the answer to a question.

Grauman et al., "Ego4D", CVPR 2022 (arXiv 2110.07058); https://github.com/EGO4D/episodic-memory (NLQ).  Read in the
form of UniVTG and VideoMind (rows) and in the official one (videos, clips, annotations, queries).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, find_video, read_json
from merv.evaluation.metrics.grounding import ego4d_nlq
from merv.evaluation.metrics.spans import Protocol, Window, hull_iou
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.spans_files import moment_sample, number_of, windows_of
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample, predicted
from merv.video.media import MediaRef


class Ego4dNlqTask(GroundingTask):
    """The official evaluator: the IoU of the hull, and more than the threshold."""

    strict = True

    def iou(self, pred: Window, truth: Window) -> float:
        """Shared seconds over those from the first start to the last end."""
        return hull_iou(pred, truth)

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """R1 and R5 at 0.3 and 0.5, and mIoU, 0..1."""
        preds = [predicted(item.parsed) for item in items]
        return ego4d_nlq(preds, [item.sample.meta["windows"][0] for item in items])


@TaskConfig.register_subclass("ego4d-nlq")
@dataclass
class Ego4dNlqConfig(BenchmarkConfig):
    """Ego4D NLQ, val split: `.jsonl` rows or the official `.json`; a video is a clip, called by its clip uid.

    A window without length cannot be met: its IoU is 0.  Official queries without a text are left out.
    """

    folder: ClassVar[str] = "ego4d_nlq"
    file: ClassVar[str] = "nlq_val.jsonl"
    source: ClassVar[str] = "sign the licence and download it from https://ego4d-data.org"

    protocol: Protocol = "official"
    """`official` asks for more than the threshold; `videomind` for the threshold, with R1 at 0.7 too."""

    def read(self) -> list[Sample]:
        """All queries."""
        path = self.annotation_path
        if path.suffix == ".jsonl":
            rows = self.rows()
            return [
                moment_sample(row, self._media(field(row, "vid", where)), where, question=True) for row, where in rows
            ]
        content = read_json(path, get=self.source)
        if not isinstance(content, dict) or not isinstance(content.get("videos"), list):
            raise ConfigError(f"{path} holds no `videos`; {self.source}")
        where = str(path)
        clips = [clip for video in content["videos"] for clip in field(video, "clips", where)]
        return [sample for clip in clips for sample in self._clip(clip, where)]

    def _clip(self, clip: dict[str, Any], where: str) -> Iterator[Sample]:
        uid = str(field(clip, "clip_uid", where))
        where = f"{where} clip `{uid}`"
        start, end = (
            number_of(field(clip, name, where), name, where) for name in ("video_start_sec", "video_end_sec")
        )
        for annotation in field(clip, "annotations", where):
            queries = field(annotation, "language_queries", where)
            for number, query in enumerate(queries):
                if query.get("query"):
                    yield grounding_sample(
                        f"{annotation.get('annotation_uid', uid)}_{number}",
                        query["query"],
                        windows=windows_of([query.get("clip_start_sec"), query.get("clip_end_sec")], where),
                        duration=end - start,
                        media=self._media(uid),
                        question=True,
                    )

    def _media(self, clip: Any) -> MediaRef:
        return MediaRef(find_video(self.media_path, str(clip)))

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        kind = Ego4dNlqTask if self.protocol == "official" else GroundingTask
        return kind(self.task_name, samples, condition=self.condition, protocol=self.protocol)
