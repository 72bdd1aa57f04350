"""Keep the images CLIP finds well taken: `merv filter clip-quality images --out chosen`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from merv.conf.parse import run_main
from merv.errors import ConfigError
from merv.filters.clip import ClipConfig
from merv.filters.clip_quality import Quality, directions, judge, result_row
from merv.filters.clip_weights import ClipWeights
from merv.filters.prompt_sets import PromptSets, read_prompts
from merv.filters.reports import Seen, put, seen, unreadable_rows, write_json
from merv.filters.sharding import join_shards
from merv.filters.threshold import draw_histogram, sample_of, spread
from merv.runs.filter_options import FolderOptions, named, told

COMMAND = "clip-quality"
REPORT = "filtering_report.json"
ANALYSIS = "quality_analysis.json"
HISTOGRAM = "quality_histogram.png"

Write = Callable[[str], None]


@dataclass(kw_only=True)
class ClipQualityConfig(FolderOptions, ClipConfig):
    """Keep the images that are nearer to good sentences than to bad ones: `merv filter clip-quality DIR --out OUT`."""

    threshold: float | Literal["auto"] = "auto"
    """Lowest score that is kept; auto is the 25th percentile of a sample, which keeps three quarters."""
    analyze: bool = False
    """Score a sample and say how scores are spread; no image is put anywhere."""
    sample_size: int = 500
    """Images of the sample that `auto` and `analyze` look at."""
    seed: int = 42
    """Of the sample."""
    prompts: Path | None = None
    """YAML file with `positive` and `negative` sentences; None takes those about vases."""
    normalize_first: bool = False
    """Give each sentence the same weight; False averages them as the model gives them, as VaseVQA-3D does."""

    def __post_init__(self) -> None:
        """Refuse a sample of nothing."""
        super().__post_init__()
        if self.sample_size < 1:
            raise ConfigError(f"sample_size is {self.sample_size}; it is a number of images, 1 or more")


def main(args: Sequence[str], write: Write) -> int:
    """Do what the words say; gives the exit status."""
    action = partial(filter_clip_quality, write=write)
    return run_main(action, ClipQualityConfig, named(args, COMMAND), prog=f"merv filter {COMMAND}")


def filter_clip_quality(config: ClipQualityConfig, write: Write) -> int:
    """Score the images and put them in `accepted` and `rejected`; gives the exit status.

    Raises:
        ConfigError: the options do not fit, `out` is there, or no image can be read.
        CheckpointError: the weights are damaged, or of another model.
    """
    began = time.monotonic()
    with join_shards() as shard:
        prompts, paths, weights = shard.first(partial(_checked, config))
        looked_at = sample_of(paths, config.sample_size, config.seed) if config.analyze else paths
        clip = config.build_clip(weights)
        wanted = directions(clip, prompts, normalize_first=config.normalize_first)
        with shard.writing(config.out, config.overwrite) as folder:
            results = shard.gather(judge(clip, shard.take(looked_at), wanted, config.threads))
            said = ""
            if results is not None:
                about = {"model": clip.describe(), "prompts": asdict(prompts)}
                said = _finish(config, folder, paths, seen(looked_at, results), about, began)
        write(said)
    return 0


def _checked(config: ClipQualityConfig) -> tuple[PromptSets, list[Path], ClipWeights | None]:
    """What is needed, once it is certain that all of it is there: one process tells what is wrong."""
    prompts, paths = read_prompts(config.prompts), config.find_images()
    if not config.analyze:
        config.check_room(paths)
    return prompts, paths, config.find_clip()


def _finish(
    config: ClipQualityConfig,
    folder: Path,
    paths: Sequence[Path],
    found: Seen[Quality],
    about: dict[str, Any],
    began: float,
) -> str:
    """Write everything; gives what to tell."""
    sample = set(sample_of(paths, config.sample_size, config.seed))
    spread_of = spread([quality.score for path, quality in found.pairs() if path in sample])
    threshold = spread_of.auto if config.threshold == "auto" else float(config.threshold)
    about |= {
        "threshold_from": "P25 of the sample" if config.threshold == "auto" else "option",
        "unreadable": unreadable_rows(found.unreadable, config.folder),
        **{name: getattr(config, name) for name in ("seed", "sample_size", "normalize_first")},
    }
    write_json(folder / ANALYSIS, {**spread_of.as_json(), "threshold": threshold, **about})
    scores = [quality.score for quality in found.results]
    draw_histogram(scores, threshold, folder / HISTOGRAM, title=f"{len(scores)} images of {config.folder}")
    counts = {"images": len(scores), "unreadable": len(found.unreadable)}
    line = spread_of.table()
    if not config.analyze:
        report = _put(config, folder, found, threshold)
        report["processing_time_seconds"] = round(time.monotonic() - began, 3)
        write_json(folder / REPORT, {**report, **about})
        counts |= {name: report[f"{name}_images"] for name in ("accepted", "rejected")}
        line = f"{counts['accepted']} of {len(scores)} images score {threshold:.4f} or more"
    config.write_lineage(folder, COMMAND, paths, model=about["model"], **counts)
    return told(line, out=config.out, num_unreadable=len(found.unreadable))


def _put(config: ClipQualityConfig, folder: Path, found: Seen[Quality], threshold: float) -> dict[str, Any]:
    """Put the images in their folders; gives filtering_report.json with the keys VaseVQA-3D published."""
    for name, kept in (("accepted", True), ("rejected", False)):
        images = [path for path, quality in found.pairs() if (quality.score >= threshold) is kept]
        put(folder, name, images, root=config.folder, mode=config.mode)
    rows = [result_row(path, config.folder, quality, threshold) for path, quality in found.pairs()]
    accepted = sum(row["accepted"] for row in rows)
    return {
        "input_directory": str(config.folder),
        "output_directory": str(config.out),
        "total_images": len(rows),
        "accepted_images": accepted,
        "rejected_images": len(rows) - accepted,
        "acceptance_rate": accepted / len(rows),
        "threshold": threshold,
        "processing_time_seconds": 0.0,
        "results": rows,
    }
