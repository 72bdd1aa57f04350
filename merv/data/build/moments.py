"""What questions are written about: descriptions of moments, taken from a grounding set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from merv.data.role_samples import Window
from merv.data.sample import Sample
from merv.errors import ConfigError


@dataclass(frozen=True)
class Moment:
    """A description of what happens in one stretch of a video, or in several."""

    id: str
    """Name of the row in its set."""
    vid: str
    """The video's path below its set's folder of videos, without the suffix."""
    query: str
    windows: tuple[Window, ...]
    """Seconds."""
    duration: float
    """Seconds of the video."""


def moments_of(
    samples: Sequence[Sample], *, name: str, videos: Sequence[Path], suffix: str, limit: int | None = None
) -> list[Moment]:
    """The moments among the rows of a dataset, in their order.

    Args:
        samples: the rows; those that are no moments are passed over.
        name: the dataset, for messages.
        videos: folders the videos may lie in.
        suffix: end of the names of video files, which `vid` leaves out.
        limit: take no more than so many; None takes all.

    Raises:
        ConfigError: there is none.
    """
    found = list(islice(_moments(samples, videos, suffix), limit))
    if not found:
        tasks = sorted({str(sample.meta.get("task", "conversation")) for sample in islice(samples, 1000)})
        raise ConfigError(
            f"source `{name}` has no moments to ask about, its rows are of kind {', '.join(tasks) or 'none'}; name a "
            "grounding set, such as --source qvhighlights"
        )
    return found


def _moments(samples: Sequence[Sample], videos: Sequence[Path], suffix: str) -> Iterator[Moment]:
    for sample in samples:
        meta = sample.meta
        if meta.get("task") == "moment" and sample.media:
            path = Path(sample.media[0].path)
            windows = tuple((float(start), float(end)) for start, end in meta["windows"])
            yield Moment(sample.id, _vid(path, videos, suffix), meta["query"], windows, float(meta["duration"]))


def _vid(path: Path, videos: Sequence[Path], suffix: str) -> str:
    folder = next((folder for folder in videos if path.is_relative_to(folder)), path.parent)
    name = path.relative_to(folder).as_posix()
    return name.removesuffix(suffix) if name.endswith(suffix) else name.removesuffix(path.suffix)
