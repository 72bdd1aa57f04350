"""Charades-STA: one sentence, one window, half a minute of somebody at home.

Gao et al., "TALL", ICCV 2017 (arXiv 1705.02101); https://github.com/jiyanggao/TALL.  The files hold lines
`VIDEO start end##sentence`; lengths of the videos come with Charades itself (Charades_v1_test.csv).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from merv.data.formats.charades_sta import parse_line
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video
from merv.evaluation.metrics.grounding import moment_table
from merv.evaluation.metrics.spans import Measure, hull_iou, iou, tall_iou
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import read_durations, warn_of_unknown
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample, predicted
from merv.video.media import MediaRef

MEASURES: dict[str, Measure] = {"videomind": iou, "timechat": hull_iou, "tall": tall_iou}


class CharadesTask(GroundingTask):
    """Rows by the measure of the protocol; an item's `iou` is the plain one."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """R1 at 0.3, 0.5 and 0.7, and mIoU, 0..1; windows apart count below 0 in the mIoU of `tall`."""
        preds = [predicted(item.parsed) for item in items]
        truths = [item.sample.meta["windows"] for item in items]
        return moment_table(preds, truths, measure=MEASURES[self.protocol])


@TaskConfig.register_subclass("charades-sta")
@dataclass
class CharadesStaConfig(BenchmarkConfig):
    """Charades-STA, test split."""

    folder: ClassVar[str] = "charades_sta"
    file: ClassVar[str] = "charades_sta_test.txt"
    source: ClassVar[str] = "download it from https://github.com/jiyanggao/TALL"

    durations: Path | None = None
    """Seconds of the videos, JSON {video: seconds} or Charades' CSV; None means durations.json and
    Charades_v1_{test,train}.csv beside the annotations, as far as they are there."""
    protocol: Literal["videomind", "timechat", "tall"] = "videomind"
    """IoU of two windows: plain (VideoMind, VTimeLLM), over their hull (TimeChat, lmms-eval), or TALL's, which is
    negative for windows apart and so lowers mIoU."""

    def read(self) -> list[Sample]:
        """All lines."""
        path = self.annotation_path
        beside = [path.with_name(name) for name in ("Charades_v1_train.csv", "Charades_v1_test.csv", "durations.json")]
        durations = read_durations(self.durations, beside)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError as error:
            raise ConfigError(f"annotation file {path} is missing; {self.source}, or set another path") from error
        samples = [
            self._sample(line, durations, f"{path} line {number}")
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        if not samples:
            raise ConfigError(f"{path} is empty; {self.source}")
        warn_of_unknown(samples, path)
        return samples

    def _sample(self, line: str, durations: Mapping[str, float], where: str) -> Sample:
        with strictly(where):
            found = parse_line(line)
        return grounding_sample(
            f"{found.video}_{where.rpartition(' ')[2]}",
            found.sentence,
            windows=[(min(found.window), max(found.window))],
            duration=durations.get(found.video),
            media=MediaRef(find_video(self.media_path, found.video)),
        )

    def task(self, samples: Sequence[Sample]) -> CharadesTask:
        """The task that asks them."""
        return CharadesTask(self.task_name, samples, condition=self.condition, protocol=self.protocol)
