"""Reader of QuerYD: what people who describe videos for the blind said, and when.

Three files belong together: a list of `video-<id>` a line, a pickle of {video: captions, each a list of words} and a
pickle of {video: [[start, end], ...]} in the same order (https://www.robots.ox.ac.uk/~vgg/data/queryd/).  VideoMind
adds seconds by `<id>` for the videos it publishes.

More than half of the genuine spans have no length: where their moment ended was not recorded.  These, and videos that
are not among the published ones, are skipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from merv.data.formats.plain_pickle import read_plain_pickle
from merv.data.formats.role_rows import Reading, Skip, read_durations, read_each, video_in
from merv.data.formats.text_lines import text_lines
from merv.data.role_samples import moment_row
from merv.data.sample import Sample
from merv.errors import ConfigError, SampleError

PREFIX = "video-"


class Described(NamedTuple):
    """One caption and its span, unchecked."""

    video: str
    """Without the prefix."""
    words: Any
    span: Any


def read(videos_list: Path, captions: Path, times: Path, durations: Path, videos: Path, *, dataset: str) -> Reading:
    """Read the captions of the listed videos; rows are counted over all of them.

    Args:
        videos_list: The videos of a split.
        captions: Pickle of words.
        times: Pickle of spans.
        durations: JSON of seconds by video, without the prefix.
        videos: Folder of `<id>.mp4`.
        dataset: Name in reports.

    Raises:
        ConfigError: a file cannot be read, or holds something else.
    """
    seconds = read_durations(durations)

    def samples_of(number: int, row: Described) -> Iterator[Sample]:
        if row.words is None and row.span is None:
            raise Skip("of listed videos without a caption")
        if row.video not in seconds:
            raise Skip("of videos without a duration, which are not published")
        if isinstance(row.span, list) and len(row.span) == 2 and row.span[0] == row.span[1]:
            raise Skip("with a span without length")
        if not isinstance(row.words, list) or not all(isinstance(word, str) for word in row.words):
            raise SampleError(f"caption of `{row.video}`: expected a list of words")
        media = video_in(videos, f"{row.video}.mp4")
        yield moment_row(f"{dataset}-{number}", " ".join(row.words), [row.span], seconds[row.video], media)

    rows = _described(videos_list, captions, times)
    return read_each(rows, samples_of, dataset=dataset, path=times)


def _described(videos_list: Path, captions: Path, times: Path) -> Iterator[Described]:
    words, spans = _by_video(captions), _by_video(times)
    for video in text_lines(videos_list):
        said, when = words.get(video, []), spans.get(video, [])
        if len(said) != len(when):
            raise ConfigError(
                f"{captions} has {len(said)} captions of `{video}` and {times.name} {len(when)} spans; "
                "they belong to different versions, download both again"
            )
        pairs = zip(said, when, strict=True) if said else [(None, None)]
        yield from (Described(video.removeprefix(PREFIX), *pair) for pair in pairs)


def _by_video(path: Path) -> dict[str, list[Any]]:
    content = read_plain_pickle(path)
    if not isinstance(content, dict) or not all(isinstance(value, list) for value in content.values()):
        raise ConfigError(f"{path} holds no lists by video; download it again")
    return content
