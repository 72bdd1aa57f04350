"""Held-out clips of the synthetic role datasets: when, and which with when."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from merv.data.formats.synthetic_moments import MomentsClip, read_clips, short_act
from merv.data.sample import Sample
from merv.data.synthetic_roles import SyntheticRoleConfig, query_of, question_of
from merv.errors import ConfigError
from merv.evaluation.benchmark import Condition, under
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.spans_task import GroundedQaTask, GroundingTask, grounded_qa_sample, grounding_sample
from merv.video.media import MediaRef


@dataclass
class SyntheticMomentsTaskConfig(TaskConfig):
    """Options of both tasks."""

    dataset_root_dir: Path = Path("data")
    """The folder the clips were drawn below."""
    condition: Condition = "video"
    """What the model is shown: the clip, no-video: the text alone, single-frame: the middle frame in place of all."""
    limit: int | None = None
    """Ask the first so many only; None asks all."""
    seed: int = 7
    """Decides which act is asked for, and in which words."""

    def __post_init__(self) -> None:
        """Refuse a limit that asks nothing."""
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; it must be at least 1")

    def clips(self, split: str) -> Iterator[tuple[int, MomentsClip, MediaRef, np.random.Generator]]:
        """Number, clip, file and generator of each held-out clip.

        Raises:
            ConfigError: the clips are not drawn.
        """
        root = SyntheticRoleConfig(dataset_root_dir=self.dataset_root_dir).root
        for number, clip in enumerate(read_clips(root, split)):
            yield number, clip, MediaRef(root / clip.video), np.random.default_rng([self.seed, 5, number])

    @property
    def task_name(self) -> str:
        """The registered name, with the condition if it is another than the clip."""
        return self.type_name if self.condition == "video" else f"{self.type_name}-{self.condition}"


@TaskConfig.register_subclass("synthetic-grounding")
@dataclass
class SyntheticGroundingConfig(SyntheticMomentsTaskConfig):
    """When does an act of a drawn clip happen; a random span scores a mean IoU of 0.23."""

    def build(self) -> GroundingTask:
        """A query for each held-out clip."""
        samples = [self._sample(*found) for found in self.clips("eval")][: self.limit]
        return GroundingTask(self.task_name, samples, condition=self.condition)

    def _sample(self, number: int, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Sample:
        act = clip.acts[int(rng.integers(len(clip.acts)))]
        sample = grounding_sample(
            f"when-{number}",
            query_of(act, rng),
            windows=[(float(act.start), float(act.end))],
            duration=float(clip.duration),
            media=media,
        )
        return under(sample, self.condition)


@TaskConfig.register_subclass("synthetic-grounded-qa")
@dataclass
class SyntheticGroundedQaConfig(SyntheticMomentsTaskConfig):
    """Which of four colours a shape has in a short act of a drawn clip, and when; guessing gives 0.25."""

    limit: int | None = 40
    """Ask the first so many only; None asks about all held-out clips."""

    def build(self) -> GroundedQaTask:
        """A question about a short act of each held-out clip."""
        samples = [self._sample(*found) for found in self.clips("short")][: self.limit]
        return GroundedQaTask(self.task_name, samples, condition=self.condition)

    def _sample(self, number: int, clip: MomentsClip, media: MediaRef, rng: np.random.Generator) -> Sample:
        act = short_act(clip)
        question, options, answer = question_of(act, rng)
        sample = grounded_qa_sample(
            f"which-{number}",
            question,
            options=options,
            answer=answer,
            windows=[(float(act.start), float(act.end))],
            duration=float(clip.duration),
            media=media,
        )
        return under(sample, self.condition)
