"""Reader of VideoMind's verifier data: what a trained grounder proposed, right or wrong.

A row is `{"video_path", "duration": seconds, "query", "span": [[start, end], ...], "pred": [[start, end], ...]}`, the
proposals best first; a file is a JSON list, or a folder of such files
(https://huggingface.co/datasets/yeliudev/VideoMind-Dataset, verifying).
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import described, json_rows
from merv.data.formats.role_rows import Reading, published_video, read_each, text_of, value_of
from merv.data.role_samples import Window, candidate_row, known_duration
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError

POSITIVE_IOU = 0.5
"""A proposal that overlaps a true window so much is right."""


def read(path: Path, root: Path, *, dataset: str, max_candidates: int = 5) -> Reading:
    """Read proposals, a sample each, numbered by the row they came from.

    Args:
        path: The list, or a folder of lists, which are read in the order of their names.
        root: The folder rows mean by `data/`.
        dataset: Name in reports.
        max_candidates: The first so many proposals of a row.

    Raises:
        ConfigError: a file cannot be read, or the folder holds none.
    """

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        media = published_video(root, text_of(row, "video_path"))
        query, duration = text_of(row, "query"), known_duration(value_of(row, "duration"))
        windows, proposals = _pairs(row, "span"), _pairs(row, "pred")
        for place, proposal in enumerate(proposals[:max_candidates]):
            positive = best_iou(proposal, windows) >= POSITIVE_IOU
            yield candidate_row(f"{dataset}-{number}-{place}", query, proposal, positive, duration, media)

    columns = "video_path, duration, query, span, pred"
    rows = chain.from_iterable(json_rows(file, columns) for file in _files(path))
    return read_each(rows, samples_of, dataset=dataset, path=path)


def best_iou(proposal: Window, windows: Sequence[Window]) -> float:
    """The largest overlap with one of the windows over their union, 0..1; 0 where both have no length."""
    return max((iou(proposal, window) for window in windows), default=0.0)


def iou(one: Window, other: Window) -> float:
    """Overlap of two stretches over their union, 0..1; 0 where both have no length."""
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    covered = one[1] - one[0] + other[1] - other[0] - shared
    return shared / covered if covered > 0 else 0.0


def _pairs(row: Any, name: str) -> list[Window]:
    """Pairs of seconds, each in order: a head that predicts offsets may say its ends the other way round."""
    value = value_of(row, name)
    try:
        return [(min(float(a), float(b)), max(float(a), float(b))) for a, b in value]
    except (TypeError, ValueError) as error:
        raise SampleError(f"field {name}: found {described(value)}; expected pairs of seconds") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.json"))
    if not files:
        raise ConfigError(f"{path} holds no .json file; download it again")
    return files
