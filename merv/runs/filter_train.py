"""A net that tells good images from bad, learnt from two folders.

`merv filter train-classifier labelled --out quality`
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from merv import runtime
from merv.conf import files
from merv.conf.parse import run_main
from merv.errors import ConfigError
from merv.filters.classifier_config import FilterTrainConfig
from merv.filters.classifier_data import (
    LABELS,
    PARTS,
    View,
    find_labelled,
    find_unreadable,
    hash_of_split,
    names_of,
    split,
)
from merv.filters.classifier_files import WEIGHTS, save_classifier, start_net
from merv.filters.classifier_report import SPLIT, draw_history, write_results
from merv.filters.classifier_training import Images, evaluate, train
from merv.filters.images import Unreadable
from merv.filters.lineage import hash_of_file, write_lineage
from merv.filters.placing import check_outside
from merv.filters.reports import write_json
from merv.filters.sharding import Shard, join_shards
from merv.runs.filter_options import named
from merv.space import check_apart, check_free, check_space

logger = logging.getLogger(__name__)
Write = Callable[[str], None]

COMMAND = "train-classifier"
RATHER_MORE = 1.1
"""Room for the weights, and what is written beside them."""


def main(args: Sequence[str], write: Write) -> int:
    """Do what the words after `merv filter` say; gives the exit status."""
    action = partial(train_classifier, write=write)
    return run_main(action, FilterTrainConfig, named(args, COMMAND), prog=f"merv filter {COMMAND}")


def train_classifier(config: FilterTrainConfig, write: Write) -> int:
    """Train and write the folder, by one rename; gives the exit status.

    Raises:
        ConfigError: folders, images or weights that cannot be used, `out` is there, or the disk is too small.
        CheckpointError: `init` names weights of another net.
        RunStopped: the loss is not finite.
    """
    with join_shards() as shard:
        images = shard.first(lambda: _checked(config))
        found = shard.gather(find_unreadable(shard.take(images.paths), config.workers))
        unreadable = shard.first(lambda: [item for item in found or [] if item is not None])
        images = _readable(images, unreadable, config.folder)
        parts = shard.first(lambda: split(images.labels, config.seed, config.val_share, config.test_share))
        said = _train(config, images, parts, unreadable, shard)
        if shard.rank == 0:
            write(said)
    return 0


def _checked(config: FilterTrainConfig) -> Images:
    """The images, once it is certain that there is somewhere to write to."""
    check_free(config.out, config.overwrite)
    check_outside(config.out, config.folder)
    check_apart(config.out, config.folder)
    return Images(*find_labelled(config.folder))


def _readable(images: Images, unreadable: Sequence[Unreadable], folder: Path) -> Images:
    lost = {item.path for item in unreadable}
    if len(lost) == len(images.paths):
        raise ConfigError(f"none of the {len(lost)} images of {folder} can be read; the first: {unreadable[0].reason}")
    if lost:
        logger.warning(
            "%d of %d images cannot be read; training_results.json lists them", len(lost), len(images.paths)
        )
    kept = [pair for pair in zip(images.paths, images.labels, strict=True) if pair[0] not in lost]
    return Images([path for path, _ in kept], [label for _, label in kept])


def _train(
    config: FilterTrainConfig,
    images: Images,
    places: dict[str, list[int]],
    unreadable: Sequence[Unreadable],
    shard: Shard,
) -> str:
    """Train, measure and write; gives what to tell."""
    net = shard.first(lambda: _start(config))
    parts = {part: _chosen(images, places[part]) for part in PARTS}
    view, device = View(config.image_size, config.resize), runtime.device()
    course = train(net, parts, view, config, device, shard)
    test = evaluate(net, parts["test"], view, config.batch_size, config.workers, device, shard)
    names = names_of(places, images.paths, config.folder)
    facts = {"init": config.init, "split_sha256": hash_of_split(names), "best_epoch": course.best_epoch}
    counts = {part: _by_class(parts[part].labels) for part in PARTS}
    with shard.writing(config.out, config.overwrite) as out:
        if shard.rank == 0:
            save_classifier(out, net.cpu().state_dict(), config.arch, view, facts)
            write_json(out / SPLIT, names)
            write_results(out, course, test, counts=counts, unreadable=unreadable, root=config.folder)
            draw_history(
                out, course, f"{config.arch} on {config.folder.name}: {100 * test.accuracy:.1f} % of test images right"
            )
            write_lineage(
                out,
                command=f"merv filter {COMMAND}",
                options=files.encode(config),
                sources={config.folder: images.paths},
                model={"arch": config.arch, **facts, "sha256": hash_of_file(out / WEIGHTS)},
                counts={**{part: len(parts[part].paths) for part in PARTS}, "unreadable": len(unreadable)},
            )
    return (
        f"epoch {course.best_epoch} classifies {100 * test.accuracy:.1f} % of {len(parts['test'].paths)} test images "
        f"rightly\nwritten to {config.out}\n"
    )


def _start(config: FilterTrainConfig) -> nn.Module:
    """The net to train, once it is certain that there is room for it."""
    net = start_net(config.arch, config.init, config.seed)
    check_space(config.out, int(RATHER_MORE * sum(tensor.nbytes for tensor in net.state_dict().values())))
    return net


def _chosen(images: Images, places: Sequence[int]) -> Images:
    return Images([images.paths[place] for place in places], [images.labels[place] for place in places])


def _by_class(labels: Sequence[int]) -> dict[str, int]:
    return {name: sum(label == number for label in labels) for number, name in enumerate(LABELS)}
