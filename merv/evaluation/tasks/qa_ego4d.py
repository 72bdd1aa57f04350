"""QA-Ego4D: questions to somebody's own camera, with the moment that holds the answer.

Bärmann and Waibel, "Where did I leave my keys?", CVPR Workshops 2022; https://github.com/lbaermann/qaego4d.  Options
are those of GroundVQA (Di and Xie, CVPR 2024, https://github.com/Becomebright/GroundVQA).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.qa_ego4d import question_of
from merv.data.sample import Sample
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video, read_rows
from merv.evaluation.metrics.grounded_qa import qa_ego4d
from merv.evaluation.metrics.spans import Window, hull_iou
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import read_durations, warn_of_unknown
from merv.evaluation.tasks.spans_task import GroundedQaTask, asked_and_grounded, is_right, predicted
from merv.video.media import MediaRef


class QaEgo4dTask(GroundedQaTask):
    """GroundVQA's rows: the IoU of the hull, and more than the threshold, as for Ego4D NLQ."""

    strict = True

    def iou(self, pred: Window, truth: Window) -> float:
        """Shared seconds over those from the first start to the last end."""
        return hull_iou(pred, truth)

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """Accuracy, R1 and R5 at 0.3 and 0.5, mIoU and Mean_R1, 0..1."""
        return qa_ego4d(
            [predicted(item.parsed) for item in items],
            [item.sample.meta["windows"][0] for item in items],
            [is_right(item.sample, item.parsed) for item in items],
        )


@TaskConfig.register_subclass("qa-ego4d")
@dataclass
class QaEgo4dConfig(BenchmarkConfig):
    """QA-Ego4D with four options, test split.

    Rows without `options` get the right answer among their `wrong_answers` at a place that follows from the sample's
    id, always the same; VideoMind draws it anew in every run.
    """

    folder: ClassVar[str] = "qa_ego4d"
    file: ClassVar[str] = "annotations.QaEgo4D_test_options.json"
    source: ClassVar[str] = "sign the licence of Ego4D and make it with https://github.com/Becomebright/GroundVQA"

    durations: Path | None = None
    """JSON {video: seconds}; None means durations.json beside the annotations, if there."""

    def read(self) -> list[Sample]:
        """All questions."""
        path = self.annotation_path
        durations = read_durations(self.durations, [path.with_name("durations.json")])
        rows = read_rows(path, get=self.source)
        samples = [self._sample(row, durations, f"{path} row {number}") for number, row in enumerate(rows)]
        warn_of_unknown(samples, path)
        return samples

    def _sample(self, row: dict[str, Any], durations: Mapping[str, float], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, durations)
            return asked_and_grounded(asked, MediaRef(find_video(self.media_path, asked.video)))

    def task(self, samples: Sequence[Sample]) -> QaEgo4dTask:
        """The task that asks them."""
        return QaEgo4dTask(self.task_name, samples, condition=self.condition)
