"""ReXTime: questions across time, whose answer lies in another window than what the question names.

Chen et al., "ReXTime", NeurIPS 2024 (arXiv 2406.19392); https://github.com/ReXTime/ReXTime,
evaluation/rextime_eval.py.  Videos are of ActivityNet and QVHighlights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.question_fields import in_order
from merv.data.formats.rextime import is_of_activitynet, question_of
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video
from merv.evaluation.metrics.grounded_qa import rextime
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import cut_video
from merv.evaluation.tasks.spans_task import (
    GroundedQaTask,
    GroundingTask,
    asked_and_grounded,
    grounding_sample,
    predicted,
)
from merv.video.media import MediaRef


def _table(items: Sequence[Item], *, answered: bool) -> dict[str, float]:
    """Rows of the official evaluator, 0..1."""
    truths, preds = [], []
    for number, item in enumerate(items):
        windows = [list(span) for span in predicted(item.parsed)]
        pred: dict[str, Any] = {"qid": number, "pred_relevant_windows": windows}
        truth: dict[str, Any] = {"qid": number, "relevant_windows": item.sample.meta["windows"]}
        if answered:
            pred["ans"], truth["ans"] = (item.parsed.value or {}).get("answer"), item.sample.meta["answer"]
        preds.append(pred)
        truths.append({"ans": "", **truth})
    return rextime(preds, truths)


class RextimeTask(GroundedQaTask):
    """The official rows."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """VQA, MR-full-mIoU, MR-full-R1 from 0.3 to 0.95, and VQA,mIoU at 0.3, 0.5 and 0.7."""
        return _table(items, answered=True)


class RextimeGroundingTask(GroundingTask):
    """The official rows of windows alone."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """MR-full-mIoU, and MR-full-R1 from 0.3 to 0.95."""
        return _table(items, answered=False)


@TaskConfig.register_subclass("rextime")
@dataclass
class RextimeConfig(BenchmarkConfig):
    """ReXTime, val split: with options (rextime_val.json of Hugging Face) grounded QA.

    The rows of the repository (rextime_val.jsonl) have no options, so with them only the window is asked for.
    """

    folder: ClassVar[str] = "rextime"
    file: ClassVar[str] = "rextime_val.json"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/ReXTime/ReXTime"

    activitynet_root: Path | None = None
    """Folder of ActivityNet's videos, when not that of all."""
    qvhighlights_root: Path | None = None
    """Folder of QVHighlights' clips, when not that of all."""

    def read(self) -> list[Sample]:
        """All questions."""
        rows = self.rows()
        with_options = sum("options" in row for row, _ in rows)
        if with_options not in (0, len(rows)):
            raise ConfigError(
                f"{self.annotation_path}: {with_options} of {len(rows)} rows have options; give all of them or none"
            )
        if with_options:
            return [self._question(row, where) for row, where in rows]
        return [self._moment(row, where) for row, where in rows]

    def _question(self, row: dict[str, Any], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row)
            return asked_and_grounded(asked, self._media(asked.video))

    def _moment(self, row: dict[str, Any], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row)
            return grounding_sample(
                asked.id,
                asked.text,
                windows=in_order(asked.windows),
                duration=asked.duration,
                media=self._media(asked.video),
                question=True,
            )

    def _media(self, video: str) -> MediaRef:
        if is_of_activitynet(video):
            return MediaRef(find_video(self.activitynet_root or self.media_path, video))
        return cut_video(self.qvhighlights_root or self.media_path, video)

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        kind = RextimeTask if "options" in samples[0].meta else RextimeGroundingTask
        return kind(self.task_name, samples, condition=self.condition)
