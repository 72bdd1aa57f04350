"""Reader of HiREST: how-to videos found for a query, the part of each that answers it, and its steps.

The file is `{query: {"<id>.mp4": {"relevant", "clip", "v_duration": seconds, "bounds": [start, end],
"steps": [{"heading", "absolute_bounds"}]}}}` (https://github.com/j-min/HiREST, data/splits/all_data_*.json).  `clip`
says whether anyone marked the part; where nobody did, the bounds are a placeholder, and the entry is skipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from merv.data.formats.json_rows import json_object
from merv.data.formats.role_rows import Reading, Skip, listing, read_each, value_of, video_in
from merv.data.formats.video_moments import by_neighbours
from merv.data.role_samples import moment_row
from merv.data.sample import Sample

What = Literal["parts", "steps", "neighbours"]
"""Parts that answer a query; their steps; or steps asked by the step before or after, VideoMind's `bias` variant."""


class Moment(NamedTuple):
    """Something to look for in one video, unchecked; without bounds where the video has none to offer."""

    file: str
    video: Any
    """What the file says about the video."""
    query: str = ""
    bounds: Any = None


def read(path: Path, videos: Path, *, dataset: str, what: What) -> Reading:
    """Read moments; rows are counted over all queries and videos.

    Args:
        path: The file.
        videos: Folder of the videos; a video that is not there is skipped: many are gone from the web.
        dataset: Name in reports.
        what: Which moments.

    Raises:
        ConfigError: the file or the folder cannot be read.
    """
    present = listing(videos)

    def samples_of(number: int, moment: Moment) -> Iterator[Sample]:
        if not value_of(moment.video, "relevant") or not value_of(moment.video, "clip"):
            raise Skip("of videos without a marked part")
        if moment.bounds is None:
            raise Skip("of videos without steps")
        if moment.file not in present:
            raise Skip("without a video in the folder")
        media, duration = video_in(videos, moment.file), value_of(moment.video, "v_duration")
        yield moment_row(f"{dataset}-{number}", moment.query, [moment.bounds], duration, media)

    return read_each(_moments(path, what), samples_of, dataset=dataset, path=path)


def _moments(path: Path, what: What) -> Iterator[Moment]:
    for query, videos in json_object(path, "videos by query").items():
        for file, video in videos.items() if isinstance(videos, dict) else [("", videos)]:
            if not isinstance(video, dict):
                yield Moment(file, video)
            elif what == "parts":
                yield Moment(file, video, query, video.get("bounds", ()))
            else:
                yield from _steps(file, video, what)


def _steps(file: str, video: dict[str, Any], what: What) -> Iterator[Moment]:
    """The steps of a video, or each asked by its neighbours; one moment without bounds when there are none."""
    steps = video.get("steps")
    steps = [step if isinstance(step, dict) else {} for step in steps] if isinstance(steps, list) else []
    marked = [(str(step.get("heading", "")).strip(), step.get("absolute_bounds", ())) for step in steps]
    asked = marked if what == "steps" else [moment[:2] for moment in by_neighbours(marked)]
    yield from (Moment(file, video, *moment) for moment in asked or [("", None)])
