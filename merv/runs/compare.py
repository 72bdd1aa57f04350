"""Compare two evaluations of one task: `merv compare runs/a runs/b --task nextqa-mc`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from merv.conf.options import words_apart
from merv.errors import ConfigError
from merv.evaluation.answers import PREDICTIONS
from merv.evaluation.compare import compare, table
from merv.evaluation.runner import CARD
from merv.space import write_json

NAMES = ("a", "b")


@dataclass
class CompareConfig:
    """Two evaluations: `merv compare A B`, each a run's folder or the folder of one evaluation in it."""

    a: Path
    """What B is compared with: runs/<run_id>, or runs/<run_id>/eval/<task>."""
    b: Path
    """What may be better: a positive difference speaks for B."""
    task: str = ""
    """Which evaluation of the runs; may be empty when each holds one."""
    out: Path | None = None
    """JSON file for the differences; None writes the table only."""

    def folders(self) -> tuple[Path, Path]:
        """The folders of the two evaluations.

        Raises:
            ConfigError: there is none, or there are several to choose from.
        """
        return find_evaluation(self.a, self.task), find_evaluation(self.b, self.task)


def find_evaluation(path: Path, task: str = "") -> Path:
    """The folder of an evaluation: the path itself, or the one below a run's `eval`.

    Raises:
        ConfigError: there is none, or there are several to choose from.
    """
    if (path / CARD).is_file() or (path / PREDICTIONS).is_file():
        return path
    if not path.is_dir():
        raise ConfigError(f"there is no folder {path}; name a run, such as runs/<run_id>, or its eval/<task>")
    found = {card.parent.name: card.parent for card in sorted(path.glob(f"eval/*/{CARD}"))}
    if not found:
        raise ConfigError(f"{path} holds no finished evaluation; run `merv eval --model {path}` first")
    if task and task not in found:
        raise ConfigError(f"{path} holds no evaluation of `{task}`; give --task {'|'.join(found)}")
    if not task and len(found) > 1:
        raise ConfigError(f"{path} holds {len(found)} evaluations; give --task {'|'.join(found)}")
    return found[task] if task else next(iter(found.values()))


def named(args: Sequence[str]) -> list[str]:
    """The words of a command line with A and B, which may stand without their names, as options.

    Raises:
        ConfigError: more words than there is room for.
    """
    words, options = words_apart(args)
    given = {option.partition("=")[0] for option in options}
    free = [name for name in NAMES if f"--{name}" not in given]
    if len(words) > len(free):
        raise ConfigError(f"`{words[len(free)]}` is one word too many; there are two: merv compare A B")
    return [f"--{name}={word}" for name, word in zip(free, words, strict=False)] + options


def run(config: CompareConfig, write: Callable[[str], object]) -> int:
    """Compare, hand the table to `write`, and keep the numbers in `out`; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    comparison = compare(*config.folders())
    write(table(comparison) + "\n")
    if config.out is not None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(config.out, asdict(comparison))
    return 0
