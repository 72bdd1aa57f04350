"""Open-ended question sets as data to train on: a short answer in words, in the layout Video-LLaVA evaluates them in.

A set is a folder with `<split>_q.json`, `<split>_a.json` and the videos, under Video-LLaVA's name
(https://github.com/PKU-YuanGroup/Video-LLaVA, eval/GPT_Zero_Shot_QA) or under that of the evaluation tasks.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from merv.data.datasets import DatasetConfig
from merv.data.formats.json_rows import json_object, json_rows
from merv.data.formats.open_ended import answers_by_id, question_of
from merv.data.formats.role_rows import Reading
from merv.data.question_dataset import QuestionDatasetConfig
from merv.errors import ConfigError, SampleError

COLUMNS = "question_id, video_name and question"


@dataclass
class OpenEndedDatasetConfig(QuestionDatasetConfig):
    """Questions with an answer in words."""

    published: ClassVar[str] = "https://github.com/PKU-YuanGroup/Video-LLaVA"
    folders: ClassVar[tuple[str, ...]]
    """Names of the set's folder; the first is asked for when none is there."""
    media: ClassVar[tuple[str, ...]] = ("videos",)
    """Names of the videos' folder in it."""
    prefixes: ClassVar[tuple[str, ...]] = ("",)
    """What may stand before the name of a video in its file's name."""

    split: Literal["train", "val", "test"] = "train"
    """Which pair of files."""

    @property
    def folder(self) -> Path:
        """Folder of the lists and the videos."""
        return _standing([self.dataset_root_dir / name for name in self.folders])

    def files(self) -> list[Path]:
        """The questions, the answers and the videos."""
        folder = self.folder
        lists = [folder / f"{self.split}_{part}.json" for part in "qa"]
        return [*lists, _standing([folder / name for name in self.media])]

    def read(self) -> Reading:
        """All questions.

        Raises:
            ConfigError: the answers cannot be used.
        """
        path, answers_path, videos = self.files()
        try:
            answers = answers_by_id(json_rows(answers_path, "question_id and answer"))
        except SampleError as error:
            raise ConfigError(f"{answers_path} {error}; download it again, or repair the row") from error
        asking = partial(question_of, answers=answers, prefixes=self.prefixes)
        return self.questions_in(json_rows(path, COLUMNS), asking, path, videos)


def _standing(folders: list[Path]) -> Path:
    return next((folder for folder in folders if folder.is_dir()), folders[0])


@DatasetConfig.register_subclass("msvd-qa")
@dataclass
class MsvdQaConfig(OpenEndedDatasetConfig):
    """MSVD-QA: short clips of one action; also from the one file of LAVIS, qa_<split>.json."""

    folders: ClassVar[tuple[str, ...]] = ("MSVD_Zero_Shot_QA", "MSVD")

    def files(self) -> list[Path]:
        """Questions, answers and videos; of LAVIS' form one file has both."""
        both = self.folder / f"qa_{self.split}.json"
        questions, answers, videos = super().files()
        return [both, videos] if both.is_file() and not questions.is_file() else [questions, answers, videos]

    def read(self) -> Reading:
        """All questions."""
        path, *_, videos = self.files()
        if not path.name.startswith("qa_"):
            return super().read()
        rows = json_object(path, "questions with their answers by question_id")
        return self.questions_in(rows.values(), partial(question_of, answers=rows), path, videos)


@DatasetConfig.register_subclass("msrvtt-qa")
@dataclass
class MsrvttQaConfig(OpenEndedDatasetConfig):
    """MSRVTT-QA: web clips of 10 to 30 s."""

    folders: ClassVar[tuple[str, ...]] = ("MSRVTT_Zero_Shot_QA", "MSRVTT")
    media: ClassVar[tuple[str, ...]] = ("videos/all", "videos")


@DatasetConfig.register_subclass("tgif-qa")
@dataclass
class TgifQaConfig(OpenEndedDatasetConfig):
    """TGIF-QA: its FrameQA questions about animated GIFs, as GIF or video files."""

    folders: ClassVar[tuple[str, ...]] = ("TGIF_Zero_Shot_QA", "TGIF")
    media: ClassVar[tuple[str, ...]] = ("mp4", "videos")


@DatasetConfig.register_subclass("activitynet-qa")
@dataclass
class ActivityNetQaConfig(OpenEndedDatasetConfig):
    """ActivityNet-QA: long videos, called `v_<name>` or by the name alone."""

    published: ClassVar[str] = "https://github.com/MILVLG/activitynet-qa"
    folders: ClassVar[tuple[str, ...]] = ("Activitynet_Zero_Shot_QA", "ActivityNet")
    media: ClassVar[tuple[str, ...]] = ("all_test", "videos")
    prefixes: ClassVar[tuple[str, ...]] = ("v_", "")
