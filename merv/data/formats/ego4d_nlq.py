"""Reader of Ego4D's natural language queries: where in minutes of somebody's own camera is the answer to a question.

Two forms are read: the rows of UniVTG and VideoMind, one a line as QVHighlights has them, with `vid` the uid of a clip
(https://github.com/showlab/UniVTG); and the file of Ego4D itself, `{"videos": [{"clips": [{"clip_uid",
"video_start_sec", "video_end_sec", "annotations": [{"language_queries": [{"query", "clip_start_sec",
"clip_end_sec"}]}]}]}]}` (https://github.com/EGO4D/episodic-memory).  Windows are seconds of the clip.  One in twelve
ends where it begins; these are skipped, as are queries that Ego4D left without words.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from merv.data.formats import qvhighlights
from merv.data.formats.json_rows import described, json_object
from merv.data.formats.question_fields import number_of
from merv.data.formats.role_rows import Reading, Skip, text_of, value_of
from merv.data.formats.video_moments import Moment, each_moment, read_moments, skip_without_length
from merv.errors import ConfigError, SampleError


class Query(NamedTuple):
    """One query of Ego4D's own file."""

    clip: str
    id: str
    """Uid of the annotation and place in it."""
    text: str
    window: tuple[Any, Any]
    """Start and end in seconds of the clip, unchecked."""
    duration: float
    """Seconds of the clip."""


def read(path: Path, videos: Path, *, dataset: str) -> Reading:
    """Read queries with their window.

    Args:
        path: The rows (`.jsonl`), or Ego4D's own file.
        videos: Folder of `<uid of the clip>.mp4`.
        dataset: Name in reports.

    Raises:
        ConfigError: the file cannot be read.
    """
    if path.suffix == ".jsonl":
        return qvhighlights.read(path, videos, dataset=dataset, skip_points=True)
    content = json_object(path, "`videos`")
    entries = ((name_of(clip), clip) for clip in clips_in(content, path))
    return read_moments(each_moment(entries, _moments_of), videos, dataset=dataset, path=path)


def clips_in(content: Any, path: Path) -> Iterator[Any]:
    """The clips of Ego4D's own file.

    Raises:
        ConfigError: it holds something else.
    """
    videos = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(videos, list):
        raise ConfigError(f"{path} holds no `videos`; expected rows in a .jsonl, or Ego4D's own nlq_*.json")
    for number, video in enumerate(videos):
        clips = video.get("clips") if isinstance(video, dict) else None
        if not isinstance(clips, list):
            raise ConfigError(f"{path} video {number} has no `clips`; download it again")
        yield from clips


def name_of(clip: Any) -> str:
    """Uid of a clip, or nothing."""
    return str(clip.get("clip_uid", "")) if isinstance(clip, dict) else ""


def queries_of(clip: Any) -> Iterator[Query | Skip]:
    """The queries of a clip; one without words comes as the Skip it is.

    Raises:
        SampleError: the clip has another shape.
    """
    uid = text_of(clip, "clip_uid")
    start, end = (number_of(value_of(clip, name), name) for name in ("video_start_sec", "video_end_sec"))
    for annotation in _list_of(clip, "annotations"):
        for number, query in enumerate(_list_of(annotation, "language_queries")):
            if not value_of(query, "query"):
                yield Skip("without a query")
                continue
            window = (value_of(query, "clip_start_sec"), value_of(query, "clip_end_sec"))
            name = f"{value_of(annotation, 'annotation_uid') or uid}_{number}"
            yield Query(uid, name, text_of(query, "query"), window, end - start)


def _moments_of(video: str, clip: Any) -> Iterator[Moment]:
    def moments_of(video: str, query: Query | Skip) -> Iterator[Moment]:
        if isinstance(query, Skip):
            raise query
        skip_without_length(query.window)
        yield Moment(query.clip, query.text, query.window, query.duration)

    yield from each_moment(((video, query) for query in queries_of(clip)), moments_of)


def _list_of(row: Any, name: str) -> list[Any]:
    found = value_of(row, name)
    if not isinstance(found, list):
        raise SampleError(f"field {name}: found {described(found)}; expected a list")
    return found
