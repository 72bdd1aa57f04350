"""Reader of QVHighlights and of TACoS in the same form: one query a line, with all windows that show it.

A line is `{"qid", "query", "vid", "duration": seconds, "relevant_windows": [[start, end], ...]}`
(https://github.com/jayleicn/moment_detr, data/highlight_*_release.jsonl; TACoS as
https://github.com/showlab/UniVTG and VideoMind ship it).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from merv.data.formats.json_rows import json_rows
from merv.data.formats.role_rows import Reading, Skip, read_each, text_of, value_of, video_in
from merv.data.formats.video_moments import skip_without_length
from merv.data.role_samples import moment_row
from merv.data.sample import Sample


def read(
    path: Path,
    videos: Path,
    *,
    dataset: str,
    suffix: str = ".mp4",
    single: bool = False,
    skip_points: bool = False,
) -> Reading:
    """Read queries with windows.

    Args:
        path: The list.
        videos: Folder of the videos.
        dataset: Name in reports.
        suffix: What follows a row's `vid` in the name of its video.
        single: Skip queries with several windows.
        skip_points: Skip queries whose window ends where it begins, of lists known to hold many.

    Raises:
        ConfigError: the file cannot be read.
    """

    def samples_of(number: int, row: Any) -> Iterator[Sample]:
        video, query = text_of(row, "vid"), text_of(row, "query")
        windows = windows_of(row, single=single)
        if skip_points and isinstance(windows, list):
            for window in windows:
                skip_without_length(window)
        media = video_in(videos, video + suffix)
        name = f"{dataset}-{value_of(row, 'qid') or number}"
        yield moment_row(name, query, windows, value_of(row, "duration"), media)

    rows = json_rows(path, "qid, query, vid, duration, relevant_windows")
    return read_each(rows, samples_of, dataset=dataset, path=path)


def windows_of(row: Any, *, single: bool = False) -> Any:
    """The windows of a row, unchecked.

    Raises:
        Skip: the row has none, as in the lists of test splits, or several and only one is wanted.
        SampleError: the row is no object.
    """
    windows = value_of(row, "relevant_windows")
    if windows is None:
        raise Skip("without windows, as test splits are")
    if single and isinstance(windows, list) and len(windows) > 1:
        raise Skip("with several windows")
    return windows
