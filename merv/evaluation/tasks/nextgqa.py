"""NExT-GQA: NExT-QA's questions of cause and time with the windows that show the answer.

Xiao et al., "Can I Trust Your Answer?", CVPR 2024 (arXiv 2309.01327); https://github.com/doc-doc/NExT-GQA,
code/TempGQA/eval_ground.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.formats.nextgqa import question_of
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig, Condition
from merv.evaluation.files import read_json, read_rows
from merv.evaluation.metrics.grounded_qa import nextgqa
from merv.evaluation.metrics.spans import Protocol, Window, iop
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import first_video
from merv.evaluation.tasks.spans_task import GroundedQaTask, asked_and_grounded, is_right, predicted
from merv.video.media import MediaRef

Missing = Literal["wrong", "skip"]
VIDEO_MAP = "map_vid_vidorID.json"


class NextgqaTask(GroundedQaTask):
    """The official rows, or VideoMind's."""

    def __init__(
        self, name: str, samples: Sequence[Sample], *, condition: Condition, protocol: Protocol, missing: Missing
    ) -> None:
        """Ask `samples`; `missing` says what becomes of answers without a span."""
        super().__init__(name, samples, condition=condition, protocol=protocol)
        self.protocol: Protocol = protocol
        self.missing: Missing = missing

    def iop(self, pred: Window, truth: Window) -> float:
        """Share of the prediction inside the truth; of one without length as the protocol has it."""
        return iop(pred, truth, protocol=self.protocol)

    def describe(self) -> dict[str, Any]:
        """Condition, protocol and what becomes of answers without a span."""
        return {**super().describe(), "missing": self.missing}

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """Acc@GQA, mIoP, IoP and mIoU, IoU at 0.3 and 0.5, 0..1."""
        spans = [predicted(item.parsed) for item in items]
        return nextgqa(
            [windows[0] if windows else None for windows in spans],
            [item.sample.meta["windows"] for item in items],
            [is_right(item.sample, item.parsed) for item in items],
            protocol=self.protocol,
            missing=self.missing,
        )


@TaskConfig.register_subclass("nextgqa")
@dataclass
class NextgqaConfig(BenchmarkConfig):
    """NExT-GQA, test split: questions in a CSV, whose answers are texts, and windows in gsub_test.json."""

    folder: ClassVar[str] = "nextgqa"
    file: ClassVar[str] = "test.csv"
    source: ClassVar[str] = "download it from https://github.com/doc-doc/NExT-GQA"

    windows: Path | None = None
    """The windows; None means gsub_{name of the annotations}.json beside the annotations."""
    video_map: Path | None = None
    """JSON {video: path without suffix}; None means map_vid_vidorID.json beside the annotations, and without that
    videos are called by their number."""
    protocol: Protocol = "official"
    """IoP of a span without length inside the truth: 1 (`official`) or 0 (`videomind`, which also has no hull IoU)."""
    missing: Missing = "wrong"
    """Answers without a span: `wrong`, or left out of the table as the official script does (`skip`)."""

    def read(self) -> list[Sample]:
        """All questions."""
        path = self.annotation_path
        truths = read_json(self.windows or path.with_name(f"gsub_{path.stem}.json"), get=self.source)
        beside = path.with_name(VIDEO_MAP)
        places = read_json(self.video_map or beside, get=self.source) if self.video_map or beside.is_file() else {}
        if not isinstance(truths, dict) or not isinstance(places, dict):
            raise ConfigError(f"windows or video map beside {path} hold no object of videos; {self.source}")
        rows = read_rows(path, get=self.source)
        return [self._sample(row, truths, places, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], truths: Mapping[str, Any], places: Mapping[str, str], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, truths, places)
            return asked_and_grounded(asked, MediaRef(first_video(self.media_path, asked.video, *asked.also)))

    def task(self, samples: Sequence[Sample]) -> NextgqaTask:
        """The task that asks them."""
        return NextgqaTask(
            self.task_name, samples, condition=self.condition, protocol=self.protocol, missing=self.missing
        )
