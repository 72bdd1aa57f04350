"""ActivityNet-RTL: reasoning temporal localization, questions of when whose event is not named.

Huang et al., "LITA", ECCV 2024 (arXiv 2403.19046); https://github.com/NVlabs/LITA, lita/eval/eval_model_rtl.py.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.formats.activitynet_rtl import times_in
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field
from merv.evaluation.metrics.spans import Protocol, best_iou
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.spans_files import first_video, number_of
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample, predicted
from merv.video.media import MediaRef


class ActivityNetRtlTask(GroundingTask):
    """LITA's means: over the questions of each video, then over the videos."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """`mIoU` and `P@0.5`, 0..1."""
        videos: defaultdict[str, list[float]] = defaultdict(list)
        for item in items:
            first = predicted(item.parsed)[:1]
            videos[item.sample.meta["video"]].append(best_iou(first, item.sample.meta["windows"]))
        hits = [[float(value >= 0.5) for value in values] for values in videos.values()]
        return {"mIoU": _mean([_mean(values) for values in videos.values()]), "P@0.5": _mean([_mean(h) for h in hits])}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


@TaskConfig.register_subclass("activitynet-rtl")
@dataclass
class ActivityNetRtlConfig(BenchmarkConfig):
    """ActivityNet-RTL, its 229 questions on 160 videos.

    LITA's script takes the whole video for an answer without two times; here that answer is wrong.
    """

    folder: ClassVar[str] = "activitynet_rtl"
    file: ClassVar[str] = "annot_val_1_q229.json"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/deahuang/LITA-Datasets"

    protocol: Protocol = "official"
    """`official` means over videos; `videomind` over questions, with R1 at 0.3, 0.5 and 0.7."""

    def read(self) -> list[Sample]:
        """All questions."""
        return [self._sample(row, where) for row, where in self.rows()]

    def _sample(self, row: dict[str, Any], where: str) -> Sample:
        video, answer = str(field(row, "vid", where)), str(field(row, "answer", where))
        times = sorted(times_in(answer))
        if len(times) != 2:
            raise ConfigError(f"{where}: answer {answer!r} holds no two times such as <12.50>; repair or drop the row")
        return grounding_sample(
            str(row.get("question_id", where)),
            str(field(row, "question", where)),
            windows=[(times[0], times[1])],
            duration=number_of(field(row, "duration", where), "duration", where),
            media=MediaRef(first_video(self.media_path, f"v_{video}", video)),
            question=True,
            video=video,
        )

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        kind = ActivityNetRtlTask if self.protocol == "official" else GroundingTask
        return kind(self.task_name, samples, condition=self.condition, protocol=self.protocol)
