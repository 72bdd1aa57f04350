"""CG-Bench: questions on videos of up to an hour, each with the intervals that hold its clues.

Chen et al., "CG-Bench: Clue-grounded Question Answering Benchmark for Long Video Understanding", ICLR 2025
(arXiv 2412.12075); https://github.com/CG-Bench/CG-Bench, run/stat_with_key.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.cgbench import question_of
from merv.data.sample import Sample
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video
from merv.evaluation.metrics.grounded_qa import CGBENCH_THRESHOLDS, cgbench
from merv.evaluation.metrics.spans import Protocol, Window, union_iou
from merv.evaluation.task import Item, Parsed, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import read_durations
from merv.evaluation.tasks.spans_task import GroundedQaTask, asked_and_grounded, is_right, predicted
from merv.video.media import MediaRef


class CgbenchTask(GroundedQaTask):
    """The IoU of everything predicted with all clues; VideoMind takes the first span alone."""

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """`accuracy`, `iou`, and `rec.@IoU` and `acc.@IoU`: the share of 0.1, ... 0.5 that the item passes, 0..1."""
        right = is_right(sample, parsed)
        value = union_iou(self._windows(parsed), sample.meta["windows"], protocol=self._metric_protocol)
        passed = sum(self._passes(value, threshold) for threshold in CGBENCH_THRESHOLDS) / len(CGBENCH_THRESHOLDS)
        return {"accuracy": float(right), "iou": value, "rec.@IoU": passed, "acc.@IoU": passed * right}

    def _passes(self, value: float, threshold: float) -> bool:
        return value > threshold if self._metric_protocol == "official" else value >= threshold

    @property
    def _metric_protocol(self) -> Protocol:
        return "videomind" if self.protocol == "videomind" else "official"

    def _windows(self, parsed: Parsed) -> list[Window]:
        windows = predicted(parsed)
        return windows[:1] if self.protocol == "videomind" else windows

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """long-acc., mIoU, rec.@IoU and acc.@IoU, 0..1."""
        return cgbench(
            [self._windows(item.parsed) for item in items],
            [item.sample.meta["windows"] for item in items],
            [is_right(item.sample, item.parsed) for item in items],
            protocol=self._metric_protocol,
        )


@TaskConfig.register_subclass("cgbench")
@dataclass
class CgbenchConfig(BenchmarkConfig):
    """CG-Bench mini, 3000 questions; the whole one is asked with `annotations`."""

    folder: ClassVar[str] = "cgbench"
    file: ClassVar[str] = "cgbench_mini.json"
    source: ClassVar[str] = "download it from https://github.com/CG-Bench/CG-Bench"

    durations: Path | None = None
    """JSON {video: measured seconds}, in place of the rounded ones of the rows; None takes those."""
    protocol: Protocol = "official"
    """`official` takes all spans and more than a threshold, `videomind` the first span and the threshold too."""

    def read(self) -> list[Sample]:
        """All questions."""
        durations = read_durations(self.durations)
        return [self._sample(row, durations, where) for row, where in self.rows()]

    def _sample(self, row: dict[str, Any], durations: dict[str, float], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, durations)
            return asked_and_grounded(asked, MediaRef(find_video(self.media_path, asked.video)))

    def task(self, samples: Sequence[Sample]) -> CgbenchTask:
        """The task that asks them."""
        return CgbenchTask(self.task_name, samples, condition=self.condition, protocol=self.protocol)
