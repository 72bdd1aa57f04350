"""What the files of grounding benchmarks have in common: windows, durations, video names, and moment_detr's rows."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from merv.data.formats import question_fields
from merv.data.formats.video_moments import paired
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import field, find_video, read_json, read_rows
from merv.evaluation.metrics.spans import Window
from merv.evaluation.tasks.rows import strictly
from merv.evaluation.tasks.spans_task import grounding_sample
from merv.video.media import MediaRef, Span

log = logging.getLogger(__name__)


def windows_of(value: Any, where: str) -> list[Window]:
    """Windows in seconds of `[[start, end], ...]` or a single `[start, end]`; ends in order, past a duration or not.

    Raises:
        ConfigError: it is something else, or empty.
    """
    with strictly(where):
        return question_fields.in_order(question_fields.windows_of(value))


def number_of(value: Any, name: str, where: str) -> float:
    """A number, such as seconds or a frame, also where a CSV gives it as text.

    Raises:
        ConfigError: it is none, or not finite.
    """
    with strictly(where):
        return question_fields.number_of(value, name)


def options_of(value: Any, where: str) -> list[str]:
    """Options as texts.

    Raises:
        ConfigError: there are not at least two.
    """
    if not isinstance(value, list) or len(value) < 2:
        raise ConfigError(f"{where}: options are {value!r}; expected at least two texts")
    return [str(option) for option in value]


def sentences_of(entry: dict[str, Any], where: str) -> list[tuple[Window, str]]:
    """The windows (in the file's unit) and sentences of a video, given as `timestamps` and `sentences`.

    Raises:
        ConfigError: one is missing, or they are not as many.
    """
    with strictly(where):
        pairs = paired(entry, "sentences", "timestamps")
    return [(windows_of(time, where)[0], str(text)) for text, time in pairs]


def read_durations(given: Path | None, beside: Iterable[Path] = ()) -> dict[str, float]:
    """Seconds of videos: of `given`, or else of those files `beside` the annotations that are there.

    A file is JSON of {video: seconds}, or a CSV with columns `id` and `length` as Charades has it.

    Raises:
        ConfigError: `given` is missing, or a file holds something else.
    """
    durations: dict[str, float] = {}
    for path in [given] if given is not None else [path for path in beside if path.is_file()]:
        if path.suffix == ".csv":
            rows = read_rows(path)
            pairs = [(str(field(row, "id", str(path))), field(row, "length", str(path))) for row in rows]
        else:
            content = read_json(path, get="download or measure it")
            if not isinstance(content, dict):
                raise ConfigError(f"{path} holds no object of seconds by video; download or measure it again")
            pairs = list(content.items())
        durations |= {video: number_of(value, f"duration of `{video}`", str(path)) for video, value in pairs}
    return durations


def warn_of_unknown(samples: Sequence[Sample], path: Path) -> None:
    """Say how many questions are asked without the duration of their video."""
    if unknown := sum(sample.meta["duration"] is None for sample in samples):
        log.warning(
            "%s: %d of %d questions are asked without the duration of their video; set durations",
            path,
            unknown,
            len(samples),
        )


def first_video(root: Path, *names: str) -> Path:
    """The first of the names that is there, with or without suffix; the first name where none is."""
    paths = [find_video(root, name) for name in names]
    return next((path for path in paths if path.exists()), paths[0])


def cut_video(root: Path, name: str) -> MediaRef:
    """A clip of QVHighlights by its id `{YouTube id}_{start}_{end}`: its file, or its stretch of the whole video.

    The YouTube id may hold `_` and `-` itself, so the id is read from the right.
    """
    path = find_video(root, name)
    if not path.exists() and name.count("_") >= 2:
        video, start, end = name.rsplit("_", 2)
        whole = find_video(root, video)
        if whole.exists():
            return MediaRef(whole, span=Span(number_of(start, "start", name), number_of(end, "end", name)))
    return MediaRef(path)


def moment_sample(row: dict[str, Any], media: MediaRef, where: str, **more: Any) -> Sample:
    """A row of moment_detr's form: qid, query, vid, duration and relevant_windows, in seconds.

    Raises:
        ConfigError: something is missing or not as it should be.
    """
    if "relevant_windows" not in row:
        raise ConfigError(f"{where} has no relevant_windows; its split is published without, take another")
    return grounding_sample(
        str(field(row, "qid", where)),
        str(field(row, "query", where)),
        windows=windows_of(row["relevant_windows"], where),
        duration=number_of(field(row, "duration", where), "duration", where),
        media=media,
        **more,
    )
