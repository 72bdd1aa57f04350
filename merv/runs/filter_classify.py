"""Images sorted by a classifier: `merv filter classify images --model quality --out sorted`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from merv import runtime
from merv.conf.parse import run_main
from merv.errors import ConfigError
from merv.filters.classifier_files import Classifier, load_classifier
from merv.filters.classifier_scoring import Precision
from merv.filters.classify import FOLDERS, classify, result_row
from merv.filters.images import default_workers, total_size
from merv.filters.reports import Seen, put, seen, unreadable_rows, write_json
from merv.filters.sharding import join_shards
from merv.runs.filter_options import FolderOptions, named, told
from merv.space import check_space

COMMAND = "classify"
REPORT = "classification_report.json"

Write = Callable[[str], None]


@dataclass(kw_only=True)
class FilterClassifyConfig(FolderOptions):
    """Sort images by a trained classifier: `merv filter classify DIR --model QUALITY --out OUT`."""

    model: Path
    """Folder that train-classifier wrote, or a .pth file of VaseVQA-3D's model.py."""
    confidence_threshold: float = 0.5
    """Images the net is less sure of go to `unsure`; at 0.5, of two classes, there are none."""
    dtype: Precision = "float32"
    """Type the net computes in; bfloat16 is about three times as fast where the processor has it, and moves
    probabilities by about a hundredth."""
    batch_size: int = 32
    """Images computed at a time."""
    num_workers: int | None = None
    """Threads that decode; None means one a core, 16 at most, and 0 decodes without."""

    def __post_init__(self) -> None:
        """Check what can be checked without images."""
        if not 0 <= self.confidence_threshold <= 1:
            raise ConfigError(f"confidence_threshold is {self.confidence_threshold:g}; it is a probability, 0 to 1")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; it is a number of images, 1 or more")
        if self.num_workers is not None and self.num_workers < 0:
            raise ConfigError(f"num_workers is {self.num_workers}; it is a number of threads, 0 or more")

    @property
    def workers(self) -> int:
        """Threads that decode."""
        return default_workers() if self.num_workers is None else self.num_workers


def main(args: Sequence[str], write: Write) -> int:
    """Do what the words after `merv filter` say; gives the exit status."""
    action = partial(filter_classify, write=write)
    return run_main(action, FilterClassifyConfig, named(args, COMMAND), prog=f"merv filter {COMMAND}")


def filter_classify(config: FilterClassifyConfig, write: Write) -> int:
    """Classify the images and put them in `0`, `1` and `unsure`; gives the exit status.

    Raises:
        ConfigError: `out` is there, no image can be read, or the disk is too small.
        CheckpointError: `model` is no classifier.
    """
    began = time.time()
    with join_shards() as shard:
        paths = shard.first(lambda: _checked(config))
        classifier = load_classifier(config.model)
        with shard.writing(config.out, config.overwrite) as out:
            taken, device = shard.take(paths), runtime.device()
            own = classify(classifier, taken, config.batch_size, config.workers, device, config.dtype)
            results = shard.gather(own)
            said = "" if results is None else _finish(config, out, paths, seen(paths, results), classifier, began)
        write(said)
    return 0


def _checked(config: FilterClassifyConfig) -> list[Path]:
    """The images, once it is certain that the model can be read and there is room."""
    paths = config.find_images()
    load_classifier(config.model)  # one process tells what is wrong with it
    if config.mode == "copy":
        check_space(config.out, total_size(paths))
    return paths


def _finish(
    config: FilterClassifyConfig,
    out: Path,
    paths: list[Path],
    found: Seen[list[float]],
    classifier: Classifier,
    began: float,
) -> str:
    """Put the images and write the report; gives what to tell."""
    rows = [result_row(path, config.folder, each, config.confidence_threshold) for path, each in found.pairs()]
    counts = {}
    for name in FOLDERS:
        chosen = [path for path, row in zip(found.images, rows, strict=True) if row["sorted_to"] == name]
        put(out, name, chosen, root=config.folder, mode=config.mode)
        counts[name] = len(chosen)
    report: dict[str, Any] = {
        "input_directory": str(config.folder),
        "output_directory": str(config.out),
        "total_images": len(rows),
        "low_quality_images": counts["0"],
        "high_quality_images": counts["1"],
        "unsure_images": counts["unsure"],
        "unreadable_images": len(found.unreadable),
        "confidence_threshold": config.confidence_threshold,
        "model": {**classifier.facts, "dtype": config.dtype},
        "processing_time_seconds": round(time.time() - began, 3),
        "results": rows,
        "unreadable": unreadable_rows(found.unreadable, config.folder),
    }
    write_json(out / REPORT, report)
    sorted_to = {"low_quality": counts["0"], "high_quality": counts["1"], "unsure": counts["unsure"]}
    config.write_lineage(out, COMMAND, paths, model=classifier.facts, unreadable=len(found.unreadable), **sorted_to)
    said = f"{counts['1']} images of high quality, {counts['0']} of low quality, {counts['unsure']} unsure"
    return told(said, out=config.out, num_unreadable=len(found.unreadable))
