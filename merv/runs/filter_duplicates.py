"""One of the images that look the same: `merv filter near-duplicates images --out distinct`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from merv import runtime
from merv.conf.parse import run_main
from merv.errors import ConfigError
from merv.filters.clip import ClipConfig
from merv.filters.clip_weights import ClipWeights
from merv.filters.hashing import FARTHEST, bits_apart, look_at_hashes, near_pairs
from merv.filters.images import Unreadable
from merv.filters.near_duplicates import Group, by_resolution, groups_of, num_pixels, similar_pairs
from merv.filters.reports import Seen, below, put, seen, unreadable_rows, write_json
from merv.filters.sharding import join_shards
from merv.filters.threshold import DIGITS
from merv.runs.filter_options import FolderOptions, named, told

COMMAND = "near-duplicates"
REPORT = "near_duplicates_report.json"

Write = Callable[[str], None]


@dataclass(kw_only=True)
class NearDuplicatesConfig(FolderOptions, ClipConfig):
    """Keep one of the images that look the same: `merv filter near-duplicates DIR --out OUT`."""

    by: Literal["phash", "clip"] = "phash"
    """phash finds copies of other sizes, formats and quality; clip also other shots of the same thing."""
    distance: int = 6
    """For phash: bits, of 64, in which two hashes may differ; 0 to 16."""
    similarity: float = 0.95
    """For clip: cosine from which two images count as the same; above 0, to 1."""

    def __post_init__(self) -> None:
        """Refuse limits that cannot work."""
        super().__post_init__()
        if not 0 <= self.distance <= FARTHEST:
            raise ConfigError(f"distance is {self.distance}; it is a number of bits, 0 to {FARTHEST}")
        if not 0 < self.similarity <= 1:
            raise ConfigError(f"similarity is {self.similarity}; it is a cosine, above 0 and up to 1")


def main(args: Sequence[str], write: Write) -> int:
    """Do what the words say; gives the exit status."""
    action = partial(filter_near_duplicates, write=write)
    return run_main(action, NearDuplicatesConfig, named(args, COMMAND), prog=f"merv filter {COMMAND}")


def filter_near_duplicates(config: NearDuplicatesConfig, write: Write) -> int:
    """Group the images and put them in `kept` and `removed`; gives the exit status.

    Raises:
        ConfigError: the options do not fit, `out` is there, or no image can be read.
        CheckpointError: the weights are damaged, or of another model.
    """
    with join_shards() as shard:
        paths, weights = shard.first(partial(_checked, config))
        clip = config.build_clip(weights) if config.by == "clip" else None
        with shard.writing(config.out, config.overwrite) as folder:
            own = shard.take(paths)
            looked = clip.look(own, config.threads) if clip else look_at_hashes(own, config.batch_size, config.threads)
            pairs = zip(own, looked, strict=True)
            results = shard.gather(
                [one if isinstance(one, Unreadable) else (one, num_pixels(path)) for path, one in pairs]
            )
            said = ""
            if results is not None:
                said = _finish(config, folder, paths, seen(paths, results), clip.describe() if clip else None)
        write(said)
    return 0


def _checked(config: NearDuplicatesConfig) -> tuple[list[Path], ClipWeights | None]:
    """What is needed, once it is certain that all of it is there: one process tells what is wrong."""
    paths = config.find_images()
    config.check_room(paths)
    return paths, config.find_clip() if config.by == "clip" else None


def _finish(
    config: NearDuplicatesConfig, folder: Path, paths: Sequence[Path], found: Seen[Any], model: dict[str, Any] | None
) -> str:
    """Write everything; gives what to tell."""
    looks, pixels = zip(*found.results, strict=True)
    groups, nearness = _grouped(config, looks, pixels)
    removed = {place for group in groups for place in group.removed}
    for name, is_removed in (("kept", False), ("removed", True)):
        images = [path for place, path in enumerate(found.images) if (place in removed) is is_removed]
        put(folder, name, images, root=config.folder, mode=config.mode)

    def told_of(place: int) -> dict[str, Any]:
        return {"filename": below(found.images[place], config.folder), "pixels": pixels[place]}

    word = "distance" if config.by == "phash" else "similarity"
    rows = [
        {
            "kept": told_of(group.kept),
            "removed": [{**told_of(place), word: nearness(group.kept, place)} for place in group.removed],
        }
        for group in groups
    ]
    counts = {"images": len(looks), "kept": len(looks) - len(removed), "removed": len(removed)}
    report = {
        "input_directory": str(config.folder),
        "output_directory": str(config.out),
        **{f"{name}_images" if name != "images" else "total_images": count for name, count in counts.items()},
        "by": config.by,
        word: getattr(config, word),
        "rule": "of each group the image with the most pixels stays, of equal ones the first by path",
        "groups": rows,
        "unreadable": unreadable_rows(found.unreadable, config.folder),
        "model": model,
    }
    write_json(folder / REPORT, report)
    config.write_lineage(folder, COMMAND, paths, model=model, **counts, unreadable=len(found.unreadable))
    line = f"{counts['kept']} of {counts['images']} images are kept; groups that look the same: {len(groups)}"
    return told(line, out=config.out, num_unreadable=len(found.unreadable))


def _grouped(
    config: NearDuplicatesConfig, looks: Sequence[Any], pixels: Sequence[int]
) -> tuple[list[Group], Callable[[int, int], float]]:
    """The groups, and how near two places are: bits apart, or their cosine."""
    better = by_resolution(pixels)
    if config.by == "phash":
        hashes = np.asarray(looks, dtype=np.uint64)
        groups = groups_of(near_pairs(hashes, config.distance), len(hashes), better)
        return groups, lambda one, other: int(bits_apart(hashes[one], hashes[other]))
    features = torch.stack(list(looks)).to(runtime.device())
    groups = groups_of(similar_pairs(features, config.similarity), len(features), better)
    return groups, lambda one, other: round(float(features[one] @ features[other]), DIGITS)
