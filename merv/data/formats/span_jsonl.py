"""Reader of CosMo-Cap and InternVid-VTime as VideoMind ships them: one query a line, with one flat span.

A line is `{"vid", "duration": seconds, "query", "span": [start, end]}`
(https://huggingface.co/datasets/yeliudev/VideoMind-Dataset).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import json_rows
from merv.data.formats.role_rows import Reading, Skip, listing, read_each, text_of, value_of, video_in
from merv.data.role_samples import moment_row
from merv.data.sample import Sample


def read(path: Path, videos: Path, *, dataset: str, only_present: bool = False) -> Reading:
    """Read queries with one span each.

    Args:
        path: The list.
        videos: Folder of `<vid>.mp4`.
        dataset: Name in reports.
        only_present: Skip rows whose video is not in the folder: the list of InternVid-VTime names more videos than
            its publishers could get.

    Raises:
        ConfigError: the file or the folder cannot be read.
    """
    present = listing(videos) if only_present else None

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        media = video_in(videos, text_of(row, "vid") + ".mp4")
        if present is not None and media.path.name not in present:
            raise Skip("without a video in the folder")
        yield moment_row(
            f"{dataset}-{number}", text_of(row, "query"), [value_of(row, "span")], value_of(row, "duration"), media
        )

    return read_each(json_rows(path, "vid, duration, query, span"), samples_of, dataset=dataset, path=path)
