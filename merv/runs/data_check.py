"""Whether a dataset can be trained on: `merv data check videollava`; no accelerator is taken for it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from merv import runtime
from merv.conf.parse import run_main
from merv.data.check.media import try_media
from merv.data.check.picture import draw_histograms
from merv.data.check.report import DatasetReport, coverage
from merv.data.check.rows import check_rows, members
from merv.data.dataset import Source
from merv.data.datasets import DatasetConfig
from merv.data.ledger import MIN_ROWS
from merv.errors import ConfigError
from merv.evaluation.report import table
from merv.models.stage import StageName
from merv.runs.words import dataset_named
from merv.space import write, write_json

USAGE = "merv data check NAME [--decode 200] [--out DIR] [--dataset.* options of NAME]"


@dataclass
class DataCheckConfig:
    """Look at a dataset before a run does: `merv data check NAME`.

    Exit status 1 says that more rows are bad than max_bad_fraction allows; a training stops at that.
    """

    dataset: DatasetConfig = field(default_factory=lambda: DatasetConfig.new("videollava"))
    """What to look at; NAME is its type, `merv list datasets`."""
    stage: StageName = "finetune"
    """Whose rows, of datasets that have others for each stage."""
    decode: int | None = 200
    """Media to decode, drawn from all that are there; 0 decodes none, null all of them."""
    num_workers: int = 2
    """Processes that decode."""
    decode_deadline_s: float = 60.0
    """Seconds one medium may take."""
    seed: int = 7
    """Decides which media are drawn."""
    max_bad_fraction: float = 0.01
    """Share of the rows that may be bad, as in training."""
    out: Path | None = None
    """Folder for report.json, histograms.png, bad_rows.txt, missing_media.txt and broken_media.txt; None means
    data-check/NAME."""
    plugins: list[str] = field(default_factory=list)
    """Packages that register datasets of their own."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ConfigError: there is one.
        """
        if self.decode is not None and self.decode < 0:
            raise ConfigError(f"decode is {self.decode}; give a number of media, 0 for none or null for all")
        if self.num_workers < 1 or not self.decode_deadline_s > 0:
            raise ConfigError(
                f"num_workers {self.num_workers} must be at least 1 and decode_deadline_s "
                f"{self.decode_deadline_s:g} above 0"
            )
        if not 0 <= self.max_bad_fraction <= 1:
            raise ConfigError(f"max_bad_fraction is {self.max_bad_fraction}; it is a share of the rows, 0..1")


def main(args: Sequence[str], write_out: Callable[[str], None]) -> int:
    """Check what the words say; gives the exit status."""
    words = dataset_named(args, "check", USAGE)
    return run_main(lambda config: check(config, write_out), DataCheckConfig, words, prog="merv data check")


def check(config: DataCheckConfig, write_out: Callable[[str], None]) -> int:
    """Read the rows, try the media, tell and keep what was found; gives the exit status.

    Raises:
        ConfigError: the dataset's files are missing or cannot be read at all.
    """
    runtime.setup_logging(logging.WARNING)
    config.dataset.make()
    source = config.dataset.load_rows(config.stage)
    parts = list(members(source))
    reports = []
    for part in parts:
        report = _report(config, part, -(-(config.decode or 0) // len(parts)))
        reports.append(report)
        write_out("\n".join(report.lines()) + "\n")
    if len(reports) > 1:
        rows = coverage(reports)
        write_out("\n" + table(rows, list(rows[0])) + "\n")
    folder = config.out or Path("data-check") / config.dataset.name
    _keep(folder, parts, reports)
    stops = [report for report in reports if report.bad_fraction > config.max_bad_fraction]
    write_out(f"the whole report: {folder}\n")
    for report in stops:
        write_out(
            f"{100 * report.bad_fraction:.1f} % of the rows of {report.rows.name} are bad, and "
            f"{100 * config.max_bad_fraction:g} % may be: a training stops once it has tried {MIN_ROWS} rows; "
            "mend the data, or raise --max_bad_fraction\n"
        )
    return 1 if stops else 0


def _report(config: DataCheckConfig, source: Source, how_many: int) -> DatasetReport:
    report = DatasetReport(check_rows(source))
    if config.decode != 0:
        tried = try_media(
            source,
            None if config.decode is None else how_many,
            seed=config.seed,
            num_workers=config.num_workers,
            deadline_s=config.decode_deadline_s,
        )
        for each in tried:
            report.add(each)
    return report


def _keep(folder: Path, sources: Sequence[Source], reports: Sequence[DatasetReport]) -> None:
    """Write everything that was found."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", [report.values() for report in reports])
    if not draw_histograms([(report.rows, report.seconds) for report in reports], folder / "histograms.png"):
        (folder / "histograms.png").unlink(missing_ok=True)  # of an earlier check
    lists = {
        "bad_rows.txt": [str(row) for source in sources for row in source.bad_rows],
        "missing_media.txt": [where for report in reports for where in report.rows.missing],
        "broken_media.txt": [f"{each.where}\t{each.problem}" for report in reports for each in report.problems],
    }
    for name, lines in lists.items():
        write(folder / name, "".join(f"{line}\n" for line in lines))
