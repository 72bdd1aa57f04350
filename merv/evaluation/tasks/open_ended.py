"""Open-ended questions about videos: pairs of a question file and an answer file, scored by a judge or word by word.

The files are those of Video-LLaVA's zero-shot evaluation, which MERV took over: `test_q.json`, a list of
`{video_name, question_id, question}`, and `test_a.json`, one of `{question_id, answer}`, matched by question_id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.formats.open_ended import answers_by_id, question_of
from merv.data.formats.questions import Question
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field as field_of
from merv.evaluation.files import read_rows
from merv.evaluation.judge import JudgeConfig
from merv.evaluation.metrics.qa import ACTIVITYNET_NAMES
from merv.evaluation.task import Task, TaskConfig
from merv.evaluation.tasks.free_text import ExactTask, JudgedTask, Protocol
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_files import first_video
from merv.video.media import MediaRef

EXACT_INSTRUCTION = "Answer with one word or a short phrase."

Row = dict[str, Any]


@dataclass
class OpenEndedConfig(BenchmarkConfig):
    """Options of open-ended tasks."""

    file: ClassVar[str] = "test_q.json"
    prefixes: ClassVar[tuple[str, ...]] = ("",)
    """What may stand before the name of a video in its file's name."""

    answers: Path | None = None
    """Answer file; None means test_a.json beside the questions."""
    score: Literal["judge", "exact"] = "judge"
    """Who says whether an answer is right: a judge, or the comparison with the true one."""
    protocol: Protocol = "merv"
    """How `exact` compares: by words without case, punctuation and articles, or, official, the whole strings."""
    instruction: str | None = None
    """Line after the question; None means none for a judge and the wish for a short answer for `exact`."""
    judge: JudgeConfig = field(default_factory=lambda: JudgeConfig.new("openai"))
    """Who judges, where `score` is judge."""

    def __post_init__(self) -> None:
        """Refuse a protocol nothing would follow."""
        super().__post_init__()
        if self.score == "judge" and self.protocol != "merv":
            raise ConfigError(f"protocol {self.protocol} is one of score exact; a judge's is judge.protocol")

    @property
    def task_name(self) -> str:
        """Name of the task's folder; the two ways to score have their own."""
        return super().task_name if self.score == "judge" else f"{super().task_name}-exact"

    def read(self) -> list[Sample]:
        """The questions with their answers.

        Raises:
            ConfigError: a file is missing, or the two do not belong together.
        """
        path = self.annotation_path
        get = f"{self.source} and keep questions and answers together"
        answers_path = self.answers or path.with_name("test_a.json")
        rows = read_rows(path, get=get)
        with strictly(str(answers_path)):
            answers = answers_by_id(read_rows(answers_path, get=get))
        groups = {
            identity: {**self.grouping(answer, f"{answers_path}, question_id {identity}"), "place": place}
            for place, (identity, answer) in enumerate(answers.items())
        }
        video = cache(partial(first_video, self.media_path))  # many questions share one
        samples = []
        for number, row in enumerate(rows):
            where = f"{path} row {number}"
            if "question_id" in row and str(row["question_id"]) not in answers:
                raise ConfigError(
                    f"{where}: question_id {row['question_id']} has no answer in {answers_path}; name its file"
                )
            with strictly(where):
                asked = question_of(row, answers, self.prefixes)
            samples.append(self._sample(asked, video(asked.video, *asked.also), groups[asked.id]))
        return samples

    def task(self, samples: Sequence[Sample]) -> Task:
        """The task with the wanted score."""
        options = {"condition": self.condition, "instruction": self._line()}
        if self.score == "judge":
            return JudgedTask(self.task_name, samples, options, self.judge)
        return ExactTask(self.task_name, samples, options, self.protocol)

    def _line(self) -> str:
        if self.instruction is not None:
            return self.instruction
        return "" if self.score == "judge" else EXACT_INSTRUCTION

    def _sample(self, asked: Question, video: Path, group: Row) -> Sample:
        return Sample(
            id=asked.id,
            turns=(Turn("user", f"{asked.text}\n{self._line()}".strip()),),
            media=(MediaRef(video),),
            meta={"question": asked.text, "duration": asked.duration, "answer": asked.answer, **group},
        )

    def grouping(self, answer: Row, where: str) -> Row:
        """What the sample's `meta` says of the group a question is in."""
        return {"kind": str(answer["type"])} if "type" in answer else {}


@TaskConfig.register_subclass("msvd-qa")
@dataclass
class MsvdQaConfig(OpenEndedConfig):
    """MSVD-QA: short clips of one action; 13157 questions of the test split."""

    folder: ClassVar[str] = "MSVD"
    source: ClassVar[str] = "download Video-LLaVA's GPT_Zero_Shot_QA"


@TaskConfig.register_subclass("msrvtt-qa")
@dataclass
class MsrvttQaConfig(OpenEndedConfig):
    """MSRVTT-QA: web clips of 10 to 30 s; 72821 questions of the test split."""

    folder: ClassVar[str] = "MSRVTT"
    source: ClassVar[str] = "download Video-LLaVA's GPT_Zero_Shot_QA"


@TaskConfig.register_subclass("tgif-qa")
@dataclass
class TgifQaConfig(OpenEndedConfig):
    """TGIF-QA, its FrameQA questions about animated GIFs, GIF or MP4 files; published numbers are on a subset."""

    folder: ClassVar[str] = "TGIF"
    source: ClassVar[str] = "download Video-LLaVA's GPT_Zero_Shot_QA"


@TaskConfig.register_subclass("activitynet-qa")
@dataclass
class ActivityNetQaConfig(OpenEndedConfig):
    """ActivityNet-QA: long videos, 8000 questions of the test split in nine types; videos are `v_<name>` files."""

    folder: ClassVar[str] = "ActivityNet"
    source: ClassVar[str] = "download dataset/ of github.com/MILVLG/activitynet-qa"
    prefixes: ClassVar[tuple[str, ...]] = ("v_", "")

    def grouping(self, answer: Row, where: str) -> Row:
        """The type 0..8 and its name.

        Raises:
            ConfigError: it is none of these.
        """
        number = field_of(answer, "type", where)
        if not isinstance(number, int) or not 0 <= number < len(ACTIVITYNET_NAMES):
            raise ConfigError(f"{where}: type is {number!r}; ActivityNet-QA has the types 0 to 8")
        return {"type": number, "kind": ACTIVITYNET_NAMES[number]}


@TaskConfig.register_subclass("merv-openended")
@dataclass
class MervOpenEndedConfig(OpenEndedConfig):
    """Any pair of test_q.json and test_a.json, as in eval_data/ of github.com/princetonvisualai/merv.

    Name the questions with `annotations`; answers and a folder `videos` are looked for beside them.
    """

    folder: ClassVar[str] = "dummy_openended"
    source: ClassVar[str] = "copy eval_data/dummy_openended of github.com/princetonvisualai/merv"

    task_id: str = ""
    """Name in folders and tables; empty means the registered name."""

    @property
    def task_name(self) -> str:
        """Name of the task's folder."""
        return self.task_id or super().task_name

    @property
    def media_path(self) -> Path:
        """The folder of the videos, beside the questions."""
        return self.media_root or self.annotation_path.parent / self.media
