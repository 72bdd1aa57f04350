"""The mixtures VideoMind and MUPA train each role on, by the names people type: `--dataset.type videomind-grounder`.

https://github.com/yeliudev/VideoMind (docs/TRAIN.md), https://github.com/soughtlin/MUPA (docs/TRAIN.md).
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig, Mixing, Mixture
from merv.data.role_dataset import RoleDatasetConfig, lists_among
from merv.data.role_files import brought_by, missing_line, tree
from merv.errors import ConfigError

GROUNDING = (
    "qvhighlights",
    "didemo",
    "tacos",
    "queryd",
    "cosmo_cap",
    "internvid_vtime",
    "hirest_grounding",
    "hirest_step",
)


@dataclass
class RoleMixtureConfig(RoleDatasetConfig):
    """Several datasets for one role; folder and limits are those of each."""

    weights: list[float] = field(default_factory=list)
    """How often a row of each set occurs in an epoch, in the order of the sets; empty means 1 for all."""
    mixing: Mixing = "draw"
    """`draw` draws the rows of a fraction, `first` takes the first ones; see the dataset `mixture`."""
    seed: int = 7
    """Decides which rows a fraction draws."""

    sets: ClassVar[tuple[str, ...]] = ()
    """Registered names of the sets."""

    def members(self) -> list[RoleDatasetConfig]:
        """The sets, with the mixture's folder and limits."""
        shared = {option.name: getattr(self, option.name) for option in dataclasses.fields(RoleDatasetConfig)}
        return [self.member(name, shared | {"dataset_id": ""}) for name in self.sets]

    def member(self, name: str, shared: dict[str, Any]) -> RoleDatasetConfig:
        """One of the sets."""
        return RoleDatasetConfig.get(name)(**shared)

    def load(self, stage: str) -> Source:
        """Read every set and join them.

        Raises:
            ConfigError: files are missing, all of which are named, or a set cannot be read.
        """
        members = self.members()
        self._check([(member, member.missing()) for member in members])
        return self._mixed([member.load(stage) for member in members])

    def load_rows(self, stage: str) -> Source:
        """The same without the folders of videos."""
        members = self.members()
        self._check([(member, lists_among(member.missing())) for member in members])
        return self._mixed([member.load_rows(stage) for member in members])

    def _check(self, found: list[tuple[RoleDatasetConfig, list[Path]]]) -> None:
        """Refuse members that lack something, naming all of it."""
        lacking = [member for member, paths in found if paths]
        if lacking:
            missing = list(dict.fromkeys(path for _, paths in found for path in paths))
            pages = " and ".join(dict.fromkeys(member.published for member in lacking))
            line = f"dataset `{self.name}`: {missing_line(missing)}; download from {pages} or set "
            shown = tree(path for member in lacking for path in member.files())
            line += f"dataset_root_dir{brought_by(self.name)}; what is missing belongs here:"
            raise ConfigError(line, below=shown)

    def _mixed(self, sources: list[Source]) -> Source:
        return Mixture(sources, self.weights or None, mixing=self.mixing, seed=self.seed, name=self.name)


@DatasetConfig.register_subclass("videomind-grounder")
@dataclass
class GrounderConfig(RoleMixtureConfig):
    """The eight sets the grounders of VideoMind and MUPA are trained on."""

    sets: ClassVar[tuple[str, ...]] = GROUNDING


@DatasetConfig.register_subclass("videomind-verifier")
@dataclass
class VerifierConfig(RoleMixtureConfig):
    """Proposals of a grounder on three sets, which the verifiers of VideoMind and MUPA are trained on."""

    sets: ClassVar[tuple[str, ...]] = ("qvhighlights", "didemo", "tacos")
    size: Literal["2b", "7b"] = "2b"
    """The size of the grounder."""

    def member(self, name: str, shared: dict[str, Any]) -> RoleDatasetConfig:
        """The proposals on the set `name`."""
        return super().member("verifying", {**shared, "source": name, "size": self.size})


@DatasetConfig.register_subclass("videomind-planner")
@dataclass
class PlannerConfig(RoleMixtureConfig):
    """The questions VideoMind's planner is trained on."""

    sets: ClassVar[tuple[str, ...]] = ("planning",)


@DatasetConfig.register_subclass("videomind-answerer")
@dataclass
class AnswererConfig(RoleMixtureConfig):
    """Questions with options for an answerer; VideoMind's paper leaves its own untrained."""

    sets: ClassVar[tuple[str, ...]] = ("nextqa-mc",)


@DatasetConfig.register_subclass("mupa-gqa")
@dataclass
class GroundedQuestionsConfig(RoleMixtureConfig):
    """The four sets of questions with moments MUPA's joint role is trained on."""

    sets: ClassVar[tuple[str, ...]] = ("qvhighlights-qa", "tacos-qa", "cosmo-cap-qa", "deve-qa")


GrounderConfig.preset("mupa-grounder")
for maker in ("videomind", "mupa"):
    for size in ("2b", "7b"):
        VerifierConfig.preset(f"{maker}-verifier-{size}", size=size)
