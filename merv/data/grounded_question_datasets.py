"""Sets of questions with the moment that shows the answer, as data to train on, in the layout VideoMind publishes.

Folders are those of https://huggingface.co/datasets/yeliudev/VideoMind-Dataset, where sets share videos: NExT-GQA's
are NExT-QA's, STAR's are Charades', ReXTime's are ActivityNet's and QVHighlights', QA-Ego4D's the clips in `ego4d/v1`.
Lists are the publishers' own.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.datasets import DatasetConfig
from merv.data.formats import cgbench, nextgqa, qa_ego4d, rextime, star
from merv.data.formats.json_rows import json_object, json_rows
from merv.data.formats.questions import Question
from merv.data.formats.role_rows import Reading, read_durations
from merv.data.moment_datasets import there
from merv.data.question_dataset import Form, QuestionDatasetConfig
from merv.data.role_datasets import VIDEOS

ALL: tuple[Form, ...] = ("answer", "grounding", "grounded-answer")


@DatasetConfig.register_subclass("nextgqa")
@dataclass
class NextGqaConfig(QuestionDatasetConfig):
    """NExT-GQA: questions of cause and time with five options and the windows of the answer; no training list."""

    published: ClassVar[str] = "https://github.com/doc-doc/NExT-GQA"
    forms: ClassVar[tuple[Form, ...]] = ALL

    split: Literal["val", "test"] = "val"
    """Which list."""

    def files(self) -> list[Path]:
        """The list, its windows, where each video stands, and the videos."""
        folder, videos = self.dataset_root_dir / "nextgqa", self.dataset_root_dir / "nextqa"
        named = [videos / name for name in ("NExTVideo", "videos")]
        return [
            folder / f"{self.split}.csv",
            folder / f"gsub_{self.split}.json",
            folder / "map_vid_vidorID.json",
            next((place for place in named if place.is_dir()), named[0]),
        ]

    def read(self) -> Reading:
        """All questions."""
        path, windows, places, videos = self.files()
        question_of = partial(
            nextgqa.question_of,
            truths=json_object(windows, "windows by video"),
            places=json_object(places, "video paths by video"),
        )
        return self.questions_in(nextgqa.read_list(path), question_of, path, videos)


@DatasetConfig.register_subclass("star")
@dataclass
class StarConfig(QuestionDatasetConfig):
    """STAR: four options about a stretch of a Charades video, of which no more than the stretch is shown."""

    published: ClassVar[str] = "https://bobbywu.com/STAR"

    split: Literal["train", "val", "test"] = "train"
    """Which list; answers of test are not published."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        root = self.dataset_root_dir
        return [root / "star" / f"STAR_{self.split}.json", root / "charades_sta" / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        path, videos = self.files()
        return self.questions_in(json_rows(path, "question, choices and answer"), star.question_of, path, videos)


@DatasetConfig.register_subclass("rextime")
@dataclass
class RextimeConfig(QuestionDatasetConfig):
    """ReXTime: questions across time; with the lists of its repository, which have no options, for form grounding."""

    published: ClassVar[str] = "https://huggingface.co/datasets/ReXTime/ReXTime"
    forms: ClassVar[tuple[Form, ...]] = ALL

    split: Literal["train", "val", "test"] = "train"
    """Which list; answers and windows of test are not published."""

    def files(self) -> list[Path]:
        """The list, the two folders of videos, and their measured durations where they are there."""
        folder = self.dataset_root_dir / "rextime"
        name = "rextime_test_release" if self.split == "test" else f"rextime_{self.split}"
        path = there(folder / f"{name}.json", folder / f"{name}.jsonl")
        sets = [self.dataset_root_dir / source for source in ("activitynet", "qvhighlights")]
        measured = [source / "durations.json" for source in sets]
        return [path, *(source / VIDEOS for source in sets), *(file for file in measured if file.is_file())]

    def read(self) -> Reading:
        """All questions."""
        path, activitynet, qvhighlights, *measured = self.files()
        durations: dict[str, Any] = {}
        for file in measured:
            durations |= read_durations(file)

        def question_of(row: Any) -> Question:
            asked = rextime.question_of(row, durations)
            folder = activitynet if rextime.is_of_activitynet(asked.video) else qvhighlights
            return replace(asked, video=str(folder.relative_to(self.dataset_root_dir) / asked.video))

        return self.questions_in(json_rows(path, "question and vid"), question_of, path, self.dataset_root_dir)


@DatasetConfig.register_subclass("cgbench")
@dataclass
class CgbenchConfig(QuestionDatasetConfig):
    """CG-Bench: up to eight options and more about videos of up to an hour, with the intervals that hold clues."""

    published: ClassVar[str] = "https://github.com/CG-Bench/CG-Bench"
    forms: ClassVar[tuple[Form, ...]] = ALL

    split: Literal["mini", "all"] = "mini"
    """3000 questions, cgbench_mini.json, or all of them, cgbench.json."""

    def files(self) -> list[Path]:
        """The list and the videos, and measured durations where they are there."""
        folder = self.dataset_root_dir / "cgbench"
        path = folder / ("cgbench_mini.json" if self.split == "mini" else "cgbench.json")
        measured = folder / "durations.json"
        return [path, folder / VIDEOS, *([measured] if measured.is_file() else [])]

    def read(self) -> Reading:
        """All questions."""
        path, videos, *measured = self.files()
        question_of = partial(cgbench.question_of, durations=read_durations(measured[0]) if measured else None)
        return self.questions_in(json_rows(path, "question, choices and right_answer"), question_of, path, videos)


@DatasetConfig.register_subclass("qa_ego4d")
@dataclass
class QaEgo4dConfig(QuestionDatasetConfig):
    """QA-Ego4D: four options about what somebody's own camera saw, and when."""

    published: ClassVar[str] = "https://github.com/Becomebright/GroundVQA, under the licence of Ego4D"
    forms: ClassVar[tuple[Form, ...]] = ALL

    min_video_len: float | None = 10.0
    """Seconds; rows about shorter videos are left out, as VideoMind trains.  None for no limit."""
    max_video_len: float | None = 600.0
    """Seconds; rows about longer videos are left out, as VideoMind trains.  None for no limit."""
    split: Literal["train", "val", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list, durations and the videos."""
        clips = self.dataset_root_dir / "ego4d" / "v1"
        name = self.split if self.split == "train" else f"{self.split}_options"
        path = self.dataset_root_dir / "qa_ego4d" / f"annotations.QaEgo4D_{name}.json"
        return [path, clips / "durations.json", clips / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        path, durations, videos = self.files()
        question_of = partial(qa_ego4d.question_of, durations=read_durations(durations))
        return self.questions_in(json_rows(path, "question and answer"), question_of, path, videos)
