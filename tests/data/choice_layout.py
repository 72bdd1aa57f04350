"""The multiple-choice benchmarks in their places, as small as their evaluation tasks are tested on."""

from pathlib import Path

import pyarrow
from evaluation.tasks.small import VIDEOMME, small
from pyarrow import parquet

NUM_SAMPLES = {
    "mvbench": 20,
    "videomme": 2,
    "mlvu": 10,
    "lvbench": 2,
    "longvideobench": 2,
    "perception-test": 2,
}
CHOICES = tuple(NUM_SAMPLES)


def write_choices(root: Path) -> Path:
    """Write all of them below `root`, which is given back."""
    for name in CHOICES:
        config = small(name, root)
        config.media_path.mkdir(parents=True, exist_ok=True)
    write_parquet(root / "videomme" / "videomme" / "test-00000-of-00001.parquet", VIDEOMME)
    return root


def write_parquet(path: Path, rows: list[dict]) -> Path:
    """A table of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path
