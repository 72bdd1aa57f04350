"""Any benchmark in the form of MERV's evaluation data: test_q.json with questions, test_a.json with answers.

https://github.com/princetonvisualai/merv, EVALUATION.md and eval_data/dummy_mcq.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.rows import by_number, require_answers, stretch
from merv.video.media import Span


@TaskConfig.register_subclass("merv-mcq")
@dataclass
class MervFormConfig(ChoiceConfig):
    """Lists of `{video_name, question_id, question, options, [time], [end_frame]}` and of `{question_id, answer_id}`.

    `time` is the stretch to show, [start, end] in seconds, where an end of null is the video's.
    """

    folder: ClassVar[str] = "merv_mcq"
    file: ClassVar[str] = "test_q.json"
    source: ClassVar[str] = "make it as https://github.com/princetonvisualai/merv, EVALUATION.md, describes"

    answers: Path | None = None
    """The list of answers; None means the one beside the questions that ends in `_a` where these end in `_q`."""
    fps: float | None = None
    """Frames a second of all videos, to end a clip at its `end_frame`; None shows all of it, as MERV does."""

    def read(self) -> list[Sample]:
        """All questions of the pair."""
        path = self.annotation_path
        if self.answers is None and not path.stem.endswith("_q"):
            raise ConfigError(f"{path} does not say which file has its answers; set `answers`")
        answers = self.answers or path.with_stem(f"{path.stem.removesuffix('_q')}_a")
        rows = read_rows(answers, get=self.source)
        require_answers(rows, "answer_id", answers)
        known = {str(field(row, "question_id", f"{answers} row {i}")): row for i, row in enumerate(rows)}
        return [self._paired(row, known, f"{path} row {i}") for i, row in enumerate(read_rows(path, get=self.source))]

    def _paired(self, row: dict[str, Any], known: dict[str, dict[str, Any]], where: str) -> Sample:
        name = str(field(row, "question_id", where))
        if name not in known:
            raise ConfigError(f"{where}: question `{name}` has no answer in the other list; repair or drop the row")
        options = field(row, "options", where)
        return self.question(
            where,
            name=name,
            text=field(row, "question", where),
            options=options,
            answer=by_number(field(known[name], "answer_id", where), options, where),
            video=find_video(self.media_path, str(field(row, "video_name", where))),
            span=self._span(row, where),
            kind=str(row.get("type", "")),
            duration=row.get("duration"),
            end_frame=row.get("end_frame"),
        )

    def _span(self, row: dict[str, Any], where: str) -> Span | None:
        if row.get("time"):
            start, end = [*row["time"], None][:2]
            return stretch(start, float("inf") if end is None else end, where)
        if row.get("end_frame") is not None and self.fps:
            return stretch(0.0, row["end_frame"] / self.fps, where)
        return None
