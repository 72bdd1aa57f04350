"""Datasets of questions for models with roles: with options, or with options and the moment that shows the answer.

MUPA's sets for its joint role (https://huggingface.co/datasets/soughtlin/MUPA-Datasets) were not at hand; the forms
that are read stand in `merv.data.formats.grounded_qa`.  Their folders have one name in MUPA's documentation
(`TACoS-QA`) and another in its code (`tacos_qa`): either is taken.  Videos are those of the grounding sets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from merv.data.datasets import DatasetConfig
from merv.data.formats import grounded_qa, nextqa
from merv.data.formats.role_rows import Reading
from merv.data.role_dataset import RoleDatasetConfig
from merv.data.role_datasets import VIDEOS


@DatasetConfig.register_subclass("nextqa-mc")
@dataclass
class NextqaMcConfig(RoleDatasetConfig):
    """NExT-QA: questions about everyday videos with five options, for the answerer."""

    published: ClassVar[str] = "https://github.com/doc-doc/NExT-QA"
    split: Literal["train", "val", "test"] = "train"
    """Which list."""

    def files(self) -> list[Path]:
        """The list, where each video stands, and the videos."""
        folder = self.dataset_root_dir / "nextqa"
        return [folder / f"{self.split}.csv", folder / "map_vid_vidorID.json", folder / "NExTVideo"]

    def read(self) -> Reading:
        """All questions."""
        return nextqa.read(*self.files(), dataset=self.name)


@dataclass
class GroundedQaConfig(RoleDatasetConfig):
    """Questions with options and the moment that shows the answer."""

    published: ClassVar[str] = "https://huggingface.co/datasets/soughtlin/MUPA-Datasets"
    folders: ClassVar[tuple[str, ...]] = ()
    """Names of the folder of the list; the first is asked for when there is none."""

    @property
    def folder(self) -> Path:
        """Folder of the list."""
        known = [self.dataset_root_dir / name for name in self.folders]
        return next((folder for folder in known if folder.is_dir()), known[0])


@DatasetConfig.register_subclass("qvhighlights-qa")
@dataclass
class QvhighlightsQaConfig(GroundedQaConfig):
    """QVHighlights-QA: questions written from the queries of QVHighlights."""

    folders: ClassVar[tuple[str, ...]] = ("QVHighlights-QA", "qvhighlights_qa")
    single: bool = True
    """Only rows with one window, as MUPA trains."""

    def files(self) -> list[Path]:
        """The list and the videos."""
        return [self.folder / "highlight_train_release.jsonl", self.dataset_root_dir / "qvhighlights" / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        return grounded_qa.read(*self.files(), dataset=self.name, single=self.single)


@DatasetConfig.register_subclass("tacos-qa")
@dataclass
class TacosQaConfig(GroundedQaConfig):
    """TACoS-QA: questions written from the steps of TACoS."""

    folders: ClassVar[tuple[str, ...]] = ("TACoS-QA", "tacos_qa")

    def files(self) -> list[Path]:
        """The list and the videos."""
        return [self.folder / "train.jsonl", self.dataset_root_dir / "tacos" / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        return grounded_qa.read(*self.files(), dataset=self.name, suffix="-cam-002.mp4")


@DatasetConfig.register_subclass("cosmo-cap-qa")
@dataclass
class CosmoCapQaConfig(GroundedQaConfig):
    """CosMo-Cap-QA: questions written from the captions of CosMo-Cap."""

    folders: ClassVar[tuple[str, ...]] = ("CosMo-Cap-QA", "cosmo_cap_qa")

    def files(self) -> list[Path]:
        """The list and the videos."""
        return [self.folder / "anno_cosmo_cap.jsonl", self.dataset_root_dir / "cosmo_cap" / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        return grounded_qa.read(*self.files(), dataset=self.name)


@DatasetConfig.register_subclass("deve-qa")
@dataclass
class DeveQaConfig(GroundedQaConfig):
    """DeVE-QA: questions about dense events of ActivityNet's videos."""

    folders: ClassVar[tuple[str, ...]] = ("DeVE-QA", "deve_qa")

    def files(self) -> list[Path]:
        """The list, durations and the videos."""
        return [self.folder / "DeVE-QA_train.json", self.folder / "durations.json", self.folder / VIDEOS]

    def read(self) -> Reading:
        """All questions."""
        path, durations, videos = self.files()
        return grounded_qa.read(path, videos, dataset=self.name, durations=durations)
