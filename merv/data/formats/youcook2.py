"""Reader of YouCook2: the steps of recipes on the web, each with its seconds.

The file is `{"database": {id: {"duration", "subset": "training" or "validation", "annotations": [{"segment": [start,
end], "sentence"}]}}}` (http://youcook2.eecs.umich.edu, youcookii_annotations_trainval.json).  VideoMind takes the last
step of every video twice; here it is taken once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from merv.data.formats.activitynet_captions import AskedBy, moments_asked
from merv.data.formats.json_rows import described, json_object
from merv.data.formats.role_rows import Reading, value_of
from merv.data.formats.video_moments import Moment, each_moment, read_moments
from merv.errors import ConfigError, SampleError

Subset = Literal["training", "validation"]


def read(path: Path, videos: Path, *, dataset: str, subset: Subset, asked_by: AskedBy = "sentences") -> Reading:
    """Read the steps of a subset's videos.

    Args:
        path: The file.
        videos: Folder of `<id>.mp4`; a video that is not there is skipped: many are gone from the web.
        dataset: Name in reports.
        subset: As the file calls it.
        asked_by: How a moment is asked for.

    Raises:
        ConfigError: the file or the folder cannot be read.
    """
    database = json_object(path, "videos below `database`").get("database")
    if not isinstance(database, dict):
        raise ConfigError(f"{path}: field database: found {described(database)}; expected an object of videos")

    def moments_of(video: str, entry: Any) -> Iterator[Moment]:
        steps, duration = value_of(entry, "annotations"), value_of(entry, "duration")
        if not isinstance(steps, list):
            raise SampleError(f"field annotations: found {described(steps)}; expected a list of steps")
        asked = [(value_of(step, "sentence"), value_of(step, "segment")) for step in steps]
        yield from moments_asked(video, asked, duration, asked_by)

    entries = [(video, entry) for video, entry in database.items() if _subset_of(entry) in (subset, None)]
    return read_moments(each_moment(entries, moments_of), videos, dataset=dataset, path=path, only_present=True)


def _subset_of(entry: Any) -> Any:
    return entry.get("subset") if isinstance(entry, dict) else None
