"""DeVE-QA: questions on dense events of ActivityNet's videos, with the window that shows the answer.

Qin et al., "Question-Answering Dense Video Events" (arXiv 2409.04388); https://github.com/QHUni/DeVE-QA,
method/devi/{dataset,schema,eval}.py, whose readers accept several names for one thing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.options import by_letter
from merv.data.formats.question_fields import among, by_words
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video, read_rows
from merv.evaluation.metrics.grounded_qa import deveqa
from merv.evaluation.task import Item, TaskConfig
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import number_of, options_of, read_durations, windows_of
from merv.evaluation.tasks.spans_task import GroundedQaTask, grounded_qa_sample, is_right, predicted
from merv.video.media import MediaRef

QUESTION = ("question", "query", "q", "Q")
VIDEO = ("video_id", "video", "video_name", "vid")
OPTIONS = ("options", "candidates", "choices", "answers", "a")
ANSWER = ("correct_idx", "answer_idx", "answer", "label", "correct")
WINDOW = ("gt_span", "span", "timestamps", "timestamp", "time")
DURATION = ("duration", "video_duration")
IDENTIFIER = ("qid", "question_id", "id")


class DeveqaTask(GroundedQaTask):
    """The official rows; an answer without a span counts as wrong, unlike in NExT-GQA."""

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """Acc@QA, mIoP, IoP@0.5, mIoU, IoU@0.5 and Acc@GQA, 0..1."""
        spans = [predicted(item.parsed) for item in items]
        return deveqa(
            [windows[0] if windows else None for windows in spans],
            [item.sample.meta["windows"][0] for item in items],
            [is_right(item.sample, item.parsed) for item in items],
        )


@TaskConfig.register_subclass("deveqa")
@dataclass
class DeveqaConfig(BenchmarkConfig):
    """DeVE-QA, val split.

    Rows that give wrong answers apart (`distract_answers`) get the right one among them at a place that follows from
    the question, always the same.
    """

    folder: ClassVar[str] = "deve_qa"
    file: ClassVar[str] = "DeVE-QA_val.json"
    source: ClassVar[str] = "download it from https://github.com/QHUni/DeVE-QA"

    durations: Path | None = None
    """JSON {video: seconds} for rows without; None means durations.json beside the annotations, if there."""

    def read(self) -> list[Sample]:
        """All questions."""
        path = self.annotation_path
        durations = read_durations(self.durations, [path.with_name("durations.json")])
        rows = read_rows(path, get=self.source)
        return [self._sample(row, durations, f"{path} row {number}") for number, row in enumerate(rows)]

    def _sample(self, row: dict[str, Any], durations: Mapping[str, float], where: str) -> Sample:
        video = str(_first(row, VIDEO, where))
        question = str(_first(row, QUESTION, where))
        options, answer = _options(row, f"{video} {question}", where)
        duration = durations.get(video, _first(row, DURATION, where, optional=True))
        return grounded_qa_sample(
            str(_first(row, IDENTIFIER, where, optional=True) or where),
            question,
            options=options,
            answer=answer,
            windows=windows_of(_window(_first(row, WINDOW, where)), where),
            duration=None if not duration else number_of(duration, "duration", where),
            media=MediaRef(find_video(self.media_path, video)),
        )

    def task(self, samples: Sequence[Sample]) -> DeveqaTask:
        """The task that asks them."""
        return DeveqaTask(self.task_name, samples, condition=self.condition)


def _first(row: Mapping[str, Any], names: Sequence[str], where: str, *, optional: bool = False) -> Any:
    """The first of the fields a row has."""
    for name in names:
        if name in row:
            return row[name]
    if optional:
        return None
    raise ConfigError(f"{where} has none of {', '.join(names)}; it has {', '.join(row) or 'nothing'}")


def _options(row: Mapping[str, Any], key: str, where: str) -> tuple[list[str], int]:
    """Options, and the number of the right one: given as a number, a letter or a text."""
    answer = _first(row, ANSWER, where)
    if "distract_answers" in row:
        options = among(str(answer), options_of(row["distract_answers"], where), key)
        return options, options.index(str(answer))
    options = _first(row, OPTIONS, where)
    if isinstance(options, dict):
        options = [options[letter] for letter in sorted(options)]
    options = options_of(options, where)
    if isinstance(answer, int) and 0 <= answer < len(options):
        return options, answer
    one_letter = isinstance(answer, str) and len(answer) == 1 and answer not in options
    with strictly(where):
        return options, by_letter(answer, options) if one_letter else by_words(answer, options)


def _window(value: Any) -> Any:
    """A window that may be `{start, end}`."""
    return [value.get("start"), value.get("end")] if isinstance(value, dict) else value
