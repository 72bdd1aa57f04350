"""QVHighlights: one or several windows on a grid of 2 s in a clip of 150 s, for moment retrieval and highlights.

Lei et al., "QVHighlights", NeurIPS 2021 (arXiv 2107.09609); https://github.com/jayleicn/moment_detr.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field
from merv.evaluation.metrics.retrieval import qvhighlights
from merv.evaluation.metrics.spans import Protocol
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.spans_files import cut_video, moment_sample
from merv.evaluation.tasks.spans_task import GroundingTask, ranked

HIGHLIGHTS = ("relevant_clip_ids", "saliency_scores")


class QvhighlightsTask(GroundingTask):
    """Rows of the official evaluator; `Parsed.value` may hold `saliency`, a number for each clip of 2 seconds."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """R1 and mAP, 0..1, by length of the true windows; HIT@1 and mAP of highlights where an answer has some."""
        truths = [{"qid": number, **self._truth(item.sample)} for number, item in enumerate(items)]
        return qvhighlights(
            [{"qid": number, **_submission(item)} for number, item in enumerate(items)],
            truths,
            protocol="videomind" if self.protocol == "videomind" else "official",
        )

    @staticmethod
    def _truth(sample: Sample) -> dict[str, Any]:
        names = [name for name in HIGHLIGHTS if name in sample.meta]
        windows = {"relevant_windows": sample.meta["windows"], "duration": sample.meta["duration"]}
        return windows | {name: sample.meta[name] for name in names}


def _submission(item: Item) -> dict[str, Any]:
    """An item as a line of the official submission."""
    windows = [list(span) for span in ranked(item.parsed)]
    saliency = (item.parsed.value or {}).get("saliency")
    more = {} if saliency is None else {"pred_saliency_scores": saliency}
    return {"pred_relevant_windows": windows, **more}


@TaskConfig.register_subclass("qvhighlights")
@dataclass
class QvhighlightsConfig(BenchmarkConfig):
    """QVHighlights, val split; test is published without windows.

    A clip is its own file, or a stretch of the whole YouTube video; times count from the clip's start.
    """

    folder: ClassVar[str] = "qvhighlights"
    file: ClassVar[str] = "highlight_val_release.jsonl"
    source: ClassVar[str] = "download it from https://github.com/jayleicn/moment_detr"

    protocol: Protocol = "official"
    """`official` is moment_detr's evaluator; `videomind` adds R1 and R5 from IoU 0.3 and mIoU."""

    def read(self) -> list[Sample]:
        """All queries."""
        return [self._sample(row, where) for row, where in self.rows()]

    def _sample(self, row: dict[str, Any], where: str) -> Sample:
        marks = {name: row[name] for name in HIGHLIGHTS} if all(name in row for name in HIGHLIGHTS) else {}
        return moment_sample(row, cut_video(self.media_path, str(field(row, "vid", where))), where, **marks)

    def task(self, samples: Sequence[Sample]) -> QvhighlightsTask:
        """The task that asks them."""
        return QvhighlightsTask(self.task_name, samples, condition=self.condition, protocol=self.protocol)
