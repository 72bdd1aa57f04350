"""DiDeMo: which of the six 5-second pieces of a Flickr video a description means, by at least four annotators.

Hendricks et al., "Localizing Moments in Video with Natural Language", ICCV 2017 (arXiv 1708.01641);
https://github.com/LisaAnne/LocalizingMoments, whose utils/eval.py compares pieces and takes the best three annotators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, read_rows
from merv.evaluation.metrics.spans import Protocol, Window, hull_iou
from merv.evaluation.span_parsing import inside
from merv.evaluation.task import Item, Parsed, TaskConfig
from merv.evaluation.tasks.spans_files import first_video, read_durations, windows_of
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample, predicted
from merv.video.media import MediaRef

PIECE = 5
"""Seconds of a piece."""
NUM_PIECES = 6
AGREEING = 3
"""Annotators that count: those a prediction meets best."""


class DidemoTask(GroundingTask):
    """The official scores: predictions snap to pieces, and the three annotators they meet best count."""

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """`iou`, the mean of the best three of the first span, and `Rank@1` and `Rank@5`, 0..1.

        An annotator's rank is the place of their own pieces among the predicted; the mean of the three lowest counts.
        """
        moments = list(dict.fromkeys(_snapped(span, sample.meta["duration"]) for span in predicted(parsed)))
        truths = [(float(start), float(end)) for start, end in sample.meta["windows"]]
        values = sorted((hull_iou(moment, truth) for moment in moments[:1] for truth in truths), reverse=True)
        best = values[:AGREEING]
        last = NUM_PIECES * (NUM_PIECES + 1) // 2 + 1
        ranks = sorted(moments.index(truth) + 1 if truth in moments else last for truth in truths)[:AGREEING]
        rank = sum(ranks) / len(ranks)
        return {
            "iou": sum(best) / len(best) if best else 0.0,
            "Rank@1": float(rank <= 1),
            "Rank@5": float(rank <= 5),
        }

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """mIoU, 0..1; the ranks are means of the items' own."""
        values = [self.score(item.sample, item.parsed)["iou"] for item in items]
        return {"mIoU": sum(values) / len(values) if values else 0.0}


def _snapped(span: Window, duration: float) -> Window:
    """The pieces nearest to a span, at least one, as seconds; who says the video's end means all of its last piece.

    A span outside the video stays as it is.
    """
    if not inside([span], duration):
        return span
    start = min(int(span[0] / PIECE + 0.5), NUM_PIECES - 1)
    end = ceil(duration / PIECE) if span[1] >= duration else int(span[1] / PIECE + 0.5)
    end = min(max(end, start + 1), NUM_PIECES)
    return float(start * PIECE), float(end * PIECE)


@TaskConfig.register_subclass("didemo")
@dataclass
class DidemoConfig(BenchmarkConfig):
    """DiDeMo, test split.  A video whose duration is not known is taken as 5 s for each of its pieces."""

    folder: ClassVar[str] = "didemo"
    file: ClassVar[str] = "test_data.json"
    source: ClassVar[str] = "download it from https://github.com/LisaAnne/LocalizingMoments"

    durations: Path | None = None
    """JSON {video without suffix: seconds}; None means durations.json beside the annotations, if there."""
    protocol: Protocol = "official"
    """`official` compares pieces with each annotator's; `videomind` seconds with the annotators' rounded mean."""

    def read(self) -> list[Sample]:
        """All descriptions."""
        path = self.annotation_path
        durations = read_durations(self.durations, [path.with_name("durations.json")])
        rows = read_rows(path, get=self.source)
        return [self._sample(row, durations, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], durations: Mapping[str, float], where: str) -> Sample:
        name = str(field(row, "video", where))
        stem = name.split(".")[0]
        pieces = field(row, "times", where)
        if not isinstance(pieces, list) or not all(isinstance(pair, list) for pair in pieces):
            raise ConfigError(f"{where}: times are {pieces!r}; expected [[first piece, last piece], ...]")
        windows = [(PIECE * first, PIECE * (last + 1)) for first, last in windows_of(pieces, where)]
        if self.protocol == "videomind":
            start, end = (sum(window[side] for window in windows) / len(windows) for side in (0, 1))
            windows = [(float(round(start)), float(round(end)))]
        return grounding_sample(
            str(row.get("annotation_id", where)),
            str(field(row, "description", where)),
            windows=windows,
            duration=durations.get(stem, float(PIECE * row.get("num_segments", NUM_PIECES))),
            media=MediaRef(first_video(self.media_path, name, stem)),
        )

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        kind = DidemoTask if self.protocol == "official" else GroundingTask
        return kind(self.task_name, samples, condition=self.condition, protocol=self.protocol)
