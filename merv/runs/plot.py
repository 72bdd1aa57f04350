"""Draw the course of several runs: `merv plot runs/a runs/b`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from merv.conf.options import with_value, words_apart
from merv.errors import ConfigError
from merv.training.curves_of_runs import plot_runs

logger = logging.getLogger(__name__)


@dataclass
class PlotConfig:
    """Curves of one or several runs: `merv plot RUN [RUN ...]`, each a run's folder."""

    runs: list[Path] = field(default_factory=list)
    """Folders of runs, such as runs/<run_id>."""
    out: Path = Path("loss.png")
    """The picture; one that is there is drawn anew."""
    metric: str = "loss"
    """What is drawn: a name in metrics.jsonl, such as loss, lr, grad_norm, or reward of a GRPO run."""
    smooth: int | None = None
    """Steps in a smoothed value; 1 draws each step alone, None takes a tenth of a run's steps, 51 at most."""
    together: bool = False
    """Draw the runs over one another and not side by side."""

    def __post_init__(self) -> None:
        """Check what can be checked without a run."""
        if self.smooth is not None and self.smooth < 1:
            raise ConfigError(f"smooth is {self.smooth}; it is a number of steps, 1 or more")
        if self.out.suffix.lower() != ".png":
            raise ConfigError(f"out is {self.out}; the picture is a PNG, name it {self.out.with_suffix('.png').name}")


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line with the runs, which may stand without their name, as options.

    Raises:
        ConfigError: runs are named in both ways.
    """
    words, options = words_apart(with_value("--together", args))
    if not words:
        return options
    if any(option.partition("=")[0] == "--runs" for option in options):
        raise ConfigError(f"`{words[0]}` stands beside --runs; name the runs in one way: merv plot RUN [RUN ...]")
    runs = ",".join(f'"{word}"' for word in words)
    return [f"--runs=[{runs}]", *options]


def plot(config: PlotConfig) -> int:
    """Draw the picture; gives the exit status.

    Raises:
        ConfigError: no run, a run without metrics, or without this one.
    """
    if not config.runs:
        raise ConfigError("there is no run to draw; name one or several: merv plot RUN [RUN ...]")
    plot_runs(config.runs, config.out, metric=config.metric, window=config.smooth, together=config.together)
    logger.info("%s shows %s of %s", config.out, config.metric, ", ".join(str(run) for run in config.runs))
    return 0
