"""Sets of moments beyond those VideoMind trains its grounder on, in the layout VideoMind publishes them in.

Folders are those of https://huggingface.co/datasets/yeliudev/VideoMind-Dataset, where sets share videos: ActivityNet's
are in `activitynet`, the clips of Ego4D in `ego4d/v2`.  Lists are the publishers' own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from merv.data.datasets import DatasetConfig
from merv.data.formats import (
    activitynet_captions,
    activitynet_rtl,
    charades_sta,
    ego4d_naq,
    ego4d_nlq,
    ego_timeqa,
    span_jsonl,
    videoxum,
    youcook2,
)
from merv.data.formats.json_rows import json_rows
from merv.data.formats.role_rows import Reading, read_durations
from merv.data.question_dataset import Form, QuestionDatasetConfig
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.role_datasets import VIDEOS


def there(*paths: Path) -> Path:
    """The first of several files that may hold the same; the first of all where none is there."""
    return next((path for path in paths if path.is_file()), paths[0])


@DatasetConfig.register_subclass("charades_sta")
@dataclass
class CharadesStaConfig(RoleDatasetConfig):
    """Charades-STA: sentences about half a minute of somebody at home."""

    split: Literal["train", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list, durations (or Charades' own CSV in their place) and the videos."""
        folder = self.dataset_root_dir / "charades_sta"
        durations = there(folder / "durations.json", folder / f"Charades_v1_{self.split}.csv")
        return [folder / f"charades_sta_{self.split}.txt", durations, folder / VIDEOS]

    def read(self) -> Reading:
        """All lines."""
        return charades_sta.read(*self.files(), dataset=self.name)


@dataclass
class ActivitynetConfig(RoleDatasetConfig):
    """Lists about ActivityNet's videos."""

    @property
    def videos(self) -> Path:
        """Folder of the videos, called `v_<id>.mp4`."""
        return self.dataset_root_dir / "activitynet" / VIDEOS


@DatasetConfig.register_subclass("activitynet_captions")
@dataclass
class ActivitynetCaptionsConfig(ActivitynetConfig):
    """ActivityNet Captions: several sentences on a video of minutes."""

    split: Literal["train", "val_1", "val_2"] = "train"
    """Which file; val_2 is what grounders are tested on."""
    asked_by: activitynet_captions.AskedBy = "sentences"
    """Ask for a moment by its sentence, or by that of the moment before or after it, which is VideoMind's
    activitynet_captions_bias."""

    @property
    def durations(self) -> Path:
        """VideoMind's measured seconds; where they are not there, those of the file itself count."""
        return self.dataset_root_dir / "activitynet" / "durations.json"

    def files(self) -> list[Path]:
        """The file and the videos, and measured durations where they are there."""
        measured = [self.durations] if self.durations.is_file() else []
        return [self.dataset_root_dir / "activitynet_captions" / f"{self.split}.json", *measured, self.videos]

    def read(self) -> Reading:
        """All sentences."""
        path, *measured, videos = self.files()
        durations = measured[0] if measured else None
        return activitynet_captions.read(path, videos, dataset=self.name, durations=durations, asked_by=self.asked_by)


@DatasetConfig.register_subclass("activitynet_rtl")
@dataclass
class ActivitynetRtlConfig(ActivitynetConfig):
    """ActivityNet-RTL: questions of when, whose event has to be reasoned out."""

    split: Literal["train", "test"] = "train"
    """What a language model wrote, or the 229 questions people checked."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        lists = {"train": "activitynet_train_gpt-4-0613_temp_6_f10009.json", "test": "annot_val_1_q229.json"}
        return [self.dataset_root_dir / "activitynet_rtl" / lists[self.split], self.videos]

    def read(self) -> Reading:
        """All questions whose answer names two times."""
        read = activitynet_rtl.read if self.split == "train" else activitynet_rtl.read_checked
        return read(*self.files(), dataset=self.name)


@DatasetConfig.register_subclass("videoxum")
@dataclass
class VideoxumConfig(ActivitynetConfig):
    """VideoXum: ActivityNet's sentences, and the part of each that ten people kept for a summary."""

    split: Literal["train", "val", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        return [self.dataset_root_dir / "videoxum" / f"{self.split}_videoxum.json", self.videos]

    def read(self) -> Reading:
        """All sentences; a window is the mean of the ten."""
        return videoxum.read(*self.files(), dataset=self.name)


@dataclass
class Ego4dConfig(RoleDatasetConfig):
    """Lists about Ego4D's clips."""

    @property
    def videos(self) -> Path:
        """Folder of the clips, called `<uid>.mp4`."""
        return self.dataset_root_dir / "ego4d" / "v2" / VIDEOS


@DatasetConfig.register_subclass("ego4d_nlq")
@dataclass
class Ego4dNlqConfig(Ego4dConfig):
    """Ego4D NLQ: questions whose answer shows in a moment of somebody's own camera."""

    split: Literal["train", "val"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The rows, or Ego4D's own file in their place, and the clips."""
        folder = self.dataset_root_dir / "ego4d_nlq"
        return [there(folder / f"nlq_{self.split}.jsonl", folder / f"nlq_{self.split}.json"), self.videos]

    def read(self) -> Reading:
        """All queries with a window of some length."""
        return ego4d_nlq.read(*self.files(), dataset=self.name)


@DatasetConfig.register_subclass("ego4d_naq")
@dataclass
class Ego4dNaqConfig(Ego4dConfig):
    """Ego4D-NaQ: narrations of Ego4D as queries; limits are those VideoMind trains with."""

    split: Literal["train", "val", "test"] = "train"
    """Which file; of train, questions and unsure narrations are left out."""
    min_video_len: float | None = 10.0
    """Seconds; rows about shorter clips are left out.  None for no limit."""
    max_video_len: float | None = 600.0
    """Seconds; rows about longer clips are left out.  None for no limit."""
    min_num_words: int | None = 3
    """Rows whose narration has fewer words are left out; None for no limit."""
    max_num_words: int | None = 30
    """Rows whose narration has more words are left out; None for no limit."""

    def files(self) -> list[Path]:
        """The file and the clips."""
        return [self.dataset_root_dir / "ego4d_naq" / f"{self.split}.json", self.videos]

    def read(self) -> Reading:
        """All narrations said once of their clip."""
        return ego4d_naq.read(*self.files(), dataset=self.name, narrations_only=self.split == "train")


@DatasetConfig.register_subclass("ego_timeqa")
@dataclass
class EgoTimeqaConfig(QuestionDatasetConfig):
    """EgoTimeQA: questions made of Ego4D's narrations, with four options and the moment that holds the answer.

    Limits are those VideoMind trains with; its ego_timeqa_grounding is `form grounding`, its ego_timeqa_crop `crop`.
    """

    min_video_len: float | None = 10.0
    """Seconds; rows about shorter clips are left out.  None for no limit."""
    max_video_len: float | None = 600.0
    """Seconds; rows about longer clips are left out.  None for no limit."""
    min_num_words: int | None = 3
    """Rows whose question has fewer words are left out; None for no limit."""
    max_num_words: int | None = 30
    """Rows whose question has more words are left out; None for no limit."""

    forms: ClassVar[tuple[Form, ...]] = ("answer", "grounding", "grounded-answer")

    def files(self) -> list[Path]:
        """The list, durations and the clips, which are those of the other lists about Ego4D."""
        clips = self.dataset_root_dir / "ego4d" / "v2"
        path = self.dataset_root_dir / "ego_timeqa" / "annotations.EgoTimeQA.json"
        return [path, clips / "durations.json", clips / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        path, durations, videos = self.files()
        seconds = read_durations(durations)
        rows = json_rows(path, "video_id, question, answer, wrong_answers, moment_start_frame, moment_end_frame")
        return self.questions_in(rows, lambda row: ego_timeqa.question_of(row, seconds), path, videos)


@DatasetConfig.register_subclass("vid_morp")
@dataclass
class VidMorpConfig(RoleDatasetConfig):
    """Vid-Morp: captions a model wrote of parts of web videos, https://github.com/baopj/Vid-Morp."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        folder = self.dataset_root_dir / "vid_morp"
        return [folder / "anno_vid_morp.jsonl", folder / VIDEOS]

    def read(self) -> Reading:
        """All rows whose video is there."""
        return span_jsonl.read(*self.files(), dataset=self.name, only_present=True)


@DatasetConfig.register_subclass("youcook2")
@dataclass
class Youcook2Config(RoleDatasetConfig):
    """YouCook2: the steps of recipes."""

    split: Literal["train", "val"] = "train"
    """Which videos; both are in one file."""
    asked_by: activitynet_captions.AskedBy = "sentences"
    """Ask for a step by its sentence, or by that of the step before or after it, which is VideoMind's
    youcook2_bias."""

    def files(self) -> list[Path]:
        """The file and the videos."""
        folder = self.dataset_root_dir / "youcook2"
        return [folder / "youcookii_annotations_trainval.json", folder / VIDEOS]

    def read(self) -> Reading:
        """All steps of videos that are there."""
        subset: youcook2.Subset = "training" if self.split == "train" else "validation"
        return youcook2.read(*self.files(), dataset=self.name, subset=subset, asked_by=self.asked_by)
