"""Datasets that train models with roles, one name a set, in the layout VideoMind publishes them in.

Below `dataset_root_dir` each set has a folder with its lists, its videos (`videos_3fps_480_noaudio`) and, where the
lists do not say them, `durations.json` (https://huggingface.co/datasets/yeliudev/VideoMind-Dataset).  Sets of
questions are in `merv.data.role_question_datasets`, mixtures in `merv.data.role_mixtures`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from merv.data.datasets import DatasetConfig
from merv.data.formats import didemo, hirest, planning, queryd, qvhighlights, span_jsonl, verifying
from merv.data.formats.role_rows import Reading
from merv.data.role_dataset import RoleDatasetConfig

VIDEOS = "videos_3fps_480_noaudio"
"""Folder of compressed videos: 3 frames a second, 480 lines, no sound."""


@DatasetConfig.register_subclass("qvhighlights")
@dataclass
class QvhighlightsConfig(RoleDatasetConfig):
    """QVHighlights: moments of vlogs and news, several windows a query."""

    split: Literal["train", "val", "test"] = "train"
    """Which list; test is published without windows, so none of its rows can be used."""
    single: bool = False
    """Only queries with one window."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        folder = self.dataset_root_dir / "qvhighlights"
        return [folder / f"highlight_{self.split}_release.jsonl", folder / VIDEOS]

    def read(self) -> Reading:
        """All rows of the set."""
        return qvhighlights.read(*self.files(), dataset=self.name, single=self.single)


@DatasetConfig.register_subclass("tacos")
@dataclass
class TacosConfig(RoleDatasetConfig):
    """TACoS: steps of cooking, videos of several minutes."""

    split: Literal["train", "val", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        folder = self.dataset_root_dir / "tacos"
        return [folder / f"{self.split}.jsonl", folder / VIDEOS]

    def read(self) -> Reading:
        """All rows of the set; of each scene the videos show camera 2."""
        return qvhighlights.read(*self.files(), dataset=self.name, suffix="-cam-002.mp4")


@DatasetConfig.register_subclass("didemo")
@dataclass
class DidemoConfig(RoleDatasetConfig):
    """DiDeMo: moments of private videos of half a minute, marked on a grid of five seconds."""

    split: Literal["train", "val", "test"] = "train"
    """Which list."""
    shift_s: int | None = None
    """Moments are moved by up to so many whole seconds, so that not all begin on the grid; None means 2 in training,
    as VideoMind does, and 0 for the other lists."""
    seed: int = 7
    """Decides how far each moment is moved."""

    def files(self) -> list[Path]:
        """The list, durations and the videos."""
        folder = self.dataset_root_dir / "didemo"
        return [folder / f"{self.split}_data.json", folder / "durations.json", folder / VIDEOS]

    def read(self) -> Reading:
        """All rows of the set."""
        shift_s = (2 if self.split == "train" else 0) if self.shift_s is None else self.shift_s
        return didemo.read(*self.files(), dataset=self.name, shift_s=shift_s, seed=self.seed)


@DatasetConfig.register_subclass("queryd")
@dataclass
class QuerydConfig(RoleDatasetConfig):
    """QuerYD: descriptions of videos for the blind; the half of them that says when they end."""

    split: Literal["train", "val", "test"] = "train"
    """Which list of videos."""

    def files(self) -> list[Path]:
        """The list of videos, captions, times, durations and the videos."""
        folder = self.dataset_root_dir / "queryd"
        pickles = [f"{kind}_captions_combined_filtered-v2.pkl" for kind in ("raw", "times")]
        return [folder / name for name in (f"{self.split}_list.txt", *pickles, "durations.json", VIDEOS)]

    def read(self) -> Reading:
        """All rows of the set."""
        return queryd.read(*self.files(), dataset=self.name)


@DatasetConfig.register_subclass("cosmo_cap")
@dataclass
class CosmoCapConfig(RoleDatasetConfig):
    """CosMo-Cap: captions of parts of web videos."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        folder = self.dataset_root_dir / "cosmo_cap"
        return [folder / "anno_cosmo_cap.jsonl", folder / VIDEOS]

    def read(self) -> Reading:
        """All rows of the set."""
        return span_jsonl.read(*self.files(), dataset=self.name)


@DatasetConfig.register_subclass("internvid_vtime")
@dataclass
class InternvidVtimeConfig(RoleDatasetConfig):
    """InternVid-VTime: queries a language model wrote from captions of web videos."""

    def files(self) -> list[Path]:
        """The list and the videos, which are cut out of longer ones."""
        folder = self.dataset_root_dir / "internvid_vtime"
        return [folder / "anno_internvid_vtime_query_gpt4o_mini.jsonl", folder / "videos_crop_3fps_480_noaudio"]

    def read(self) -> Reading:
        """All rows whose video is there."""
        return span_jsonl.read(*self.files(), dataset=self.name, only_present=True)


@dataclass
class HirestConfig(RoleDatasetConfig):
    """HiREST, how-to videos."""

    split: Literal["train", "val", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        folder = self.dataset_root_dir / "hirest"
        return [folder / f"all_data_{self.split}.json", folder / VIDEOS]


@DatasetConfig.register_subclass("hirest_grounding")
@dataclass
class HirestGroundingConfig(HirestConfig):
    """HiREST: the part of a how-to video that answers a query."""

    def read(self) -> Reading:
        """All rows whose video is there."""
        return hirest.read(*self.files(), dataset=self.name, what="parts")


@DatasetConfig.register_subclass("hirest_step")
@dataclass
class HirestStepConfig(HirestConfig):
    """HiREST: the steps of how-to videos."""

    asked_by: Literal["steps", "neighbours"] = "steps"
    """Ask for a step by its heading, or by the step before or after it, which is VideoMind's hirest_step_bias."""

    def read(self) -> Reading:
        """All rows whose video is there."""
        return hirest.read(*self.files(), dataset=self.name, what=self.asked_by)


@DatasetConfig.register_subclass("verifying")
@dataclass
class VerifyingConfig(RoleDatasetConfig):
    """What a trained grounder proposed on one set, right or wrong, for the verifier."""

    source: Literal["qvhighlights", "didemo", "tacos"] = "qvhighlights"
    """The set."""
    size: Literal["2b", "7b"] = "2b"
    """The size of the grounder."""
    max_candidates: int = 5
    """The first so many proposals of a query."""

    @property
    def name(self) -> str:
        """`dataset_id`, or a name that tells the files apart."""
        return self.dataset_id or f"{self.source}-verifying-{self.size}"

    def files(self) -> list[Path]:
        """The list, and the videos of the set it is about."""
        return [
            self.dataset_root_dir / "verifying" / f"verifying_{self.source}_{self.size}.json",
            self.dataset_root_dir / self.source / VIDEOS,
        ]

    def read(self) -> Reading:
        """All proposals."""
        root = self.dataset_root_dir
        return verifying.read(self.files()[0], root, dataset=self.name, max_candidates=self.max_candidates)


@DatasetConfig.register_subclass("planning")
@dataclass
class PlanningConfig(RoleDatasetConfig):
    """Which roles a question needs, for the planner; questions of NExT-QA and QVHighlights."""

    def files(self) -> list[Path]:
        """The list, and the videos it is about."""
        root = self.dataset_root_dir
        file = root / "planning" / "planning_nextqa_qvhighlights_gpt4o_mini.jsonl"
        return [file, root / "nextqa" / "NExTVideo", root / "qvhighlights" / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        return planning.read(self.files()[0], self.dataset_root_dir, dataset=self.name)
