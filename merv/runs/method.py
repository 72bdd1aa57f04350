"""What a run learns from its rows, for the places where runs differ: here their answers, as `merv train` does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from merv.data.dataset import Source
from merv.data.loader import Collate
from merv.data.sample import Example, Sample
from merv.models.base import VideoLM
from merv.runs.pretrain_config import PretrainConfig
from merv.training.curves import plot_loss
from merv.training.loop import Job
from merv.training.trackers import METRICS_FILE
from merv.training.world import World


@dataclass(frozen=True)
class Reading:
    """How rows become batches; both functions travel to workers."""

    prepare: Callable[[Sample], Example]
    collate: Collate


class Method:
    """Learns the answers the rows have."""

    def check(self, config: PretrainConfig, source: Source) -> None:
        """Refuse what cannot work, before weights are fetched.

        Raises:
            ConfigError: an option does not fit the data.
        """

    def begin(self, config: PretrainConfig, model: VideoLM, world: World) -> None:
        """Hear of the model the run starts from, before a strategy prepares it; a collective.

        Processes other than the first may have no weights yet.
        """

    def reading(self, config: PretrainConfig, model: VideoLM) -> Reading:
        """How the rows are read."""
        return Reading(model.processor.prepare, model.processor.collate)

    def complete(self, config: PretrainConfig, job: Job, source: Source) -> Job:
        """The job with what the method adds."""
        return job

    def end(self, model: nn.Module) -> None:
        """Take off what is not part of the finished model, which a strategy prepared."""

    def draw(self, run_dir: Path) -> None:
        """Draw the course of a finished run."""
        plot_loss(run_dir / METRICS_FILE, run_dir / "loss.png")
