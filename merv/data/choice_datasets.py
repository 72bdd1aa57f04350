"""Multiple-choice benchmarks as datasets: MVBench, Video-MME, MLVU, LVBench, LongVideoBench and Perception Test.

Names and files are those of the evaluation tasks, below `dataset_root_dir` in place of `data/eval`.  Where VideoMind
(https://github.com/yeliudev/VideoMind, videomind/dataset/sub_classes) keeps a file elsewhere, that place is found too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.choice_dataset import ChoiceDatasetConfig, ListsDatasetConfig, numbered
from merv.data.datasets import DatasetConfig
from merv.data.formats import longvideobench, lvbench, merv_form, mlvu, mvbench, perception_test, videomme
from merv.data.formats.json_rows import json_object, json_rows
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Reading, value_of
from merv.data.question_dataset import Form


@DatasetConfig.register_subclass("mvbench")
@dataclass
class MvbenchConfig(ListsDatasetConfig):
    """MVBench: twenty tasks; some rows show a stretch of the video, and TVQA's clips are folders of frames."""

    published: ClassVar[str] = "https://huggingface.co/datasets/OpenGVLab/MVBench"
    folder: ClassVar[str] = "mvbench"

    def lists(self) -> list[str]:
        """A list a task."""
        return list(mvbench.FOLDERS)

    def question_of(self, row: Any, part: str, number: int) -> Question:
        """What a row of a task's list says."""
        return mvbench.question_of(row, part, number)


@DatasetConfig.register_subclass("mlvu")
@dataclass
class MlvuConfig(ListsDatasetConfig):
    """MLVU: seven tasks; the lists 8 and 9, where they are there, have no options and are counted as left out."""

    published: ClassVar[str] = "https://huggingface.co/datasets/MLVU/MVLU"
    folder: ClassVar[str] = "mlvu"

    def lists(self) -> list[str]:
        """A list a task."""
        return [*mlvu.LISTS, *(part for part in mlvu.FREE_LISTS if (self.annotation_path / f"{part}.json").is_file())]

    def question_of(self, row: Any, part: str, number: int) -> Question:
        """What a row of a task's list says."""
        return mlvu.question_of(row, part, number)


@DatasetConfig.register_subclass("videomme")
@dataclass
class VideommeConfig(ChoiceDatasetConfig):
    """Video-MME: the parquet file (needs pyarrow), or its rows as JSON; it says nothing of seconds."""

    published: ClassVar[str] = "https://huggingface.co/datasets/lmms-lab/Video-MME"
    folder: ClassVar[str] = "videomme"
    listed: ClassVar[tuple[str, ...]] = ("videomme/test-00000-of-00001.parquet", "test-00000-of-00001.parquet")
    media: ClassVar[tuple[str, ...]] = ("data", "videos")

    def read(self) -> Reading:
        """All questions."""
        rows = (row for _, row in videomme.asked(self.rows("videoID, question_id, question, options, answer")))
        return self.questions_in(rows, videomme.question_of, self.annotation_path, self.media_path)


@DatasetConfig.register_subclass("lvbench")
@dataclass
class LvbenchConfig(ChoiceDatasetConfig):
    """LVBench: the official list, or VideoChat-Flash's as `annotations`, which lacks the durations grounding needs.

    Rows whose time has no length are left out, and counted, where the moment is asked or cut out.
    """

    published: ClassVar[str] = "https://huggingface.co/datasets/THUDM/LVBench"
    folder: ClassVar[str] = "lvbench"
    forms: ClassVar[tuple[Form, ...]] = ("answer", "grounding", "grounded-answer")
    listed: ClassVar[tuple[str, ...]] = ("video_info.meta.jsonl", "LVBench/video_info.meta.jsonl")

    def read(self) -> Reading:
        """All questions."""
        rows = numbered(lvbench.asked(self.rows("key, video_info, qa")))
        windows = self.crop or self.form != "answer"
        return self.questions_in(
            rows,
            lambda row: lvbench.question_of(row, value_of(row, "number"), windows=windows),
            self.annotation_path,
            self.media_path,
        )


@DatasetConfig.register_subclass("longvideobench")
@dataclass
class LongVideoBenchConfig(ChoiceDatasetConfig):
    """LongVideoBench: the validation list, as JSON or parquet (needs pyarrow)."""

    published: ClassVar[str] = "https://huggingface.co/datasets/longvideobench/LongVideoBench"
    folder: ClassVar[str] = "longvideobench"
    listed: ClassVar[tuple[str, ...]] = ("lvb_val.json", "validation-00000-of-00001.parquet")

    def read(self) -> Reading:
        """All questions."""
        rows = self.rows("id, video_id, question, candidates, correct_choice")
        return self.questions_in(rows, longvideobench.question_of, self.annotation_path, self.media_path)


@DatasetConfig.register_subclass("perception-test")
@dataclass
class PerceptionTestConfig(ChoiceDatasetConfig):
    """Perception Test: the official list of a split, or a pair in MERV's form, `..._q.json` and `..._a.json`."""

    published: ClassVar[str] = "https://github.com/google-deepmind/perception_test"
    folder: ClassVar[str] = "perception_test"

    split: Literal["train", "valid", "test"] = "valid"
    """The list; that of the test split has no answers."""
    fps: float | None = None
    """Frames a second where the list does not say, to end videos at their `end_frame`; None shows all of those."""

    @property
    def annotation_path(self) -> Path:
        """The list of the split, or in place of the valid one MERV's, which is made of it."""
        places = [f"mc_question_{self.split}.json", *(["test_q.json"] if self.split == "valid" else [])]
        return self.annotations or self.first_there(places)

    @property
    def answers(self) -> Path | None:
        """The list of answers of a pair."""
        path = self.annotation_path
        return merv_form.answers_beside(path) if path.stem.endswith("_q") else None

    def files(self) -> list[Path]:
        """The list, or both of a pair, and the videos."""
        return [self.annotation_path, *([self.answers] if self.answers else []), self.media_path]

    def read(self) -> Reading:
        """All questions."""
        path, answers = self.annotation_path, self.answers
        if answers is None:
            rows: Iterable[Any] = perception_test.asked(json_object(path, "questions by video"))
            question_of: Callable[[Any], Question] = partial(perception_test.question_of, fps=self.fps)
        else:
            rows = json_rows(path, "video_name, question_id, question, options")
            known = merv_form.by_id(json_rows(answers, "question_id, answer_id"), answers)
            question_of = partial(merv_form.question_of, answers=known, fps=self.fps)
        return self.questions_in(rows, question_of, path, self.media_path)
