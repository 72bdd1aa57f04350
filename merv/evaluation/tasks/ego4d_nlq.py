"""Ego4D natural language queries: where in minutes of somebody's own camera is the answer to a question.

Grauman et al., "Ego4D", CVPR 2022 (arXiv 2110.07058); https://github.com/EGO4D/episodic-memory (NLQ).  Read in the
form of UniVTG and VideoMind (rows) and in the official one (videos, clips, annotations, queries).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.ego4d_nlq import Query, clips_in, name_of, queries_of
from merv.data.sample import Sample
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, find_video, read_json
from merv.evaluation.metrics.grounding import ego4d_nlq
from merv.evaluation.metrics.spans import Protocol, Window, hull_iou
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import moment_sample, windows_of
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
        return [sample for clip in clips_in(content, path) for sample in self._clip(clip, path)]

    def _clip(self, clip: Any, path: Path) -> Iterator[Sample]:
        where = f"{path} clip `{name_of(clip)}`"
        with strictly(where):
            queries = [query for query in queries_of(clip) if isinstance(query, Query)]
        for query in queries:
            yield grounding_sample(
                query.id,
                query.text,
                windows=windows_of(query.window, where),
                duration=query.duration,
                media=self._media(query.clip),
                question=True,
            )

    def _media(self, clip: Any) -> MediaRef:
        return MediaRef(find_video(self.media_path, str(clip)))

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        kind = Ego4dNlqTask if self.protocol == "official" else GroundingTask
        return kind(self.task_name, samples, condition=self.condition, protocol=self.protocol)
