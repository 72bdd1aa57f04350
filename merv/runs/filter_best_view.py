"""One image of each object: `merv filter best-view accepted --out chosen`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from merv.conf.parse import run_main
from merv.errors import ConfigError
from merv.filters.best_view import VASES, View, choose, grouped, name_pattern, statistics, totals, views_of
from merv.filters.clip import ClipConfig
from merv.filters.clip_quality import similarities
from merv.filters.images import Unreadable
from merv.filters.prompt_sets import read_prompts
from merv.filters.reports import Seen, below, put, seen, unreadable_rows, write_json
from merv.filters.sharding import join_shards
from merv.runs.filter_options import FolderOptions, named, told

COMMAND = "best-view"
REPORT = "best_views_report.json"
STATISTICS = "filtering_stats.json"
FOLDER = "best_views"

Write = Callable[[str], None]


@dataclass(kw_only=True)
class BestViewConfig(FolderOptions, ClipConfig):
    """Keep of each object the image nearest to good sentences: `merv filter best-view DIR --out OUT`."""

    group_regex: str = VASES
    """Pattern of file names, or where that does not fit of paths below DIR, capital or small: its groups `object`
    and `view`, or its first two.  Without a second one, the images of an object are numbered by path."""
    prompts: Path | None = None
    """YAML file with `positive` sentences; None takes those about vases."""
    normalize_first: bool = False
    """Give each sentence the same weight; False averages them as the model gives them, as VaseVQA-3D does."""

    def __post_init__(self) -> None:
        """Refuse a pattern that cannot work."""
        super().__post_init__()
        name_pattern(self.group_regex)

    def find_views(self) -> tuple[list[View], list[Path]]:
        """Images whose names or paths say what they show, and the others.

        Raises:
            ConfigError: there are no images, or none with such a name or path.
        """
        paths = self.find_images()
        views, others = views_of(paths, name_pattern(self.group_regex), self.folder)
        if not views:
            raise ConfigError(
                f"none of {len(paths)} names or paths in {self.folder} fits group_regex `{self.group_regex}`, such as "
                f"{below(paths[0], self.folder)}; give a --group-regex that does"
            )
        return views, others


def main(args: Sequence[str], write: Write) -> int:
    """Do what the words say; gives the exit status."""
    action = partial(filter_best_view, write=write)
    return run_main(action, BestViewConfig, named(args, COMMAND), prog=f"merv filter {COMMAND}")


def filter_best_view(config: BestViewConfig, write: Write) -> int:
    """Score every view and put the best ones in `best_views`; gives the exit status.

    Raises:
        ConfigError: the options do not fit, `out` is there, no name fits, or no image can be read.
        CheckpointError: the weights are damaged, or of another model.
    """
    began = time.monotonic()
    with join_shards() as shard:
        prompts, (views, others), weights = shard.first(
            lambda: (read_prompts(config.prompts, wanted=("positive",)), config.find_views(), config.find_clip())
        )
        clip = config.build_clip(weights)
        good = clip.direction(prompts.positive, normalize_first=config.normalize_first)[None]
        with shard.writing(config.out, config.overwrite) as folder:
            looked = clip.look(shard.take([view.path for view in views]), config.threads)
            own = [one if isinstance(one, Unreadable) else similarities(one, good)[0] for one in looked]
            results = shard.gather(own)
            said = ""
            if results is not None:
                found = seen([view.path for view in views], results)
                about = {
                    "unmatched": [below(path, config.folder) for path in others],
                    "unreadable": unreadable_rows(found.unreadable, config.folder),
                    "group_regex": config.group_regex,
                    "normalize_first": config.normalize_first,
                    "model": clip.describe(),
                    "prompts": {"positive": prompts.positive, "source": prompts.source},
                }
                said = _finish(config, folder, views, found, about, began)
        write(said)
    return 0


def _finish(
    config: BestViewConfig,
    folder: Path,
    views: Sequence[View],
    found: Seen[float],
    about: dict[str, Any],
    began: float,
) -> str:
    """Write everything; gives what to tell."""
    scores = dict(found.pairs())
    groups = grouped([view for view in views if view.path in scores])
    chosen, rows = zip(*(choose(group, scores, config.folder) for group in groups.values()), strict=True)
    put(folder, FOLDER, [view.path for view in chosen], root=config.folder, mode=config.mode)
    seconds = round(time.monotonic() - began, 3)
    report = {
        "input_directory": str(config.folder),
        "output_directory": str(config.out),
        "processing_time_seconds": seconds,
        **totals(rows),
        "results": rows,
        **about,
    }
    write_json(folder / REPORT, report)
    write_json(folder / STATISTICS, statistics(rows, seconds))
    num_unmatched = len(about["unmatched"])
    counts = {"images": len(scores), "selected": len(rows), "unmatched": num_unmatched}
    paths = sorted([view.path for view in views] + [config.folder / name for name in about["unmatched"]])
    config.write_lineage(folder, COMMAND, paths, model=about["model"], **counts, unreadable=len(found.unreadable))
    lines = [f"{len(rows)} of {len(scores)} images, one of each object"]
    if num_unmatched:
        lines.append(
            f"{num_unmatched} names or paths do not fit group_regex, such as {about['unmatched'][0]}; left out"
        )
    return told(*lines, out=config.out, num_unreadable=len(found.unreadable))
