"""Trying to decode a dataset's media, in processes that can be killed for a file that hangs them."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from merv.data.check.rows import folder_of
from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.data.workers import WorkerPool
from merv.errors import SampleError
from merv.video.media import MediaRef
from merv.video.places import is_present

FRAMES = 3
"""Frames read of a video: one of its beginning, middle and end."""
APART_S = 1.0
"""Seconds a row's duration may be off before it is told."""
DEATHS = 1_000_000
"""Workers that may die: finding out which files kill them is what this is for."""


@dataclass(frozen=True)
class Tried:
    """What became of one medium."""

    where: str
    folder: str
    problem: str = ""
    """Why it cannot be used; empty when it can."""
    note: str = ""
    """What is not as it should be, such as frames that a damaged file does not give."""
    seconds: float = 0.0
    """Duration; 0 for an image."""


def try_media(
    source: Source, how_many: int | None, *, seed: int = 7, num_workers: int = 2, deadline_s: float = 60.0
) -> Iterator[Tried]:
    """Decode media that are there.

    Args:
        source: The rows that name them.
        how_many: Of different media, drawn by `seed`; None tries all.
        seed: Decides which.
        num_workers: Processes.
        deadline_s: Seconds one medium may take.
    """
    found = _different(source)
    chosen = found if how_many is None else _drawn(found, how_many, seed)
    samples = (sample for sample in chosen if is_present(sample.media[0]))
    for sample, outcome in _decoded(samples, num_workers, deadline_s):
        [ref] = sample.media
        note, seconds = outcome.value or ("", 0.0)
        yield Tried(ref.where, str(folder_of(ref)), outcome.bad or "", note, seconds)


def decode(sample: Sample) -> tuple[str, float]:
    """Read a few frames of a sample's one medium; gives what is to be noted, and its seconds.

    Raises:
        SampleError: it cannot be used.
    """
    from merv.video.decode import read_clip

    [ref] = sample.media
    clip = read_clip(MediaRef(ref.path, ref.kind, within=ref.within), FRAMES)
    said = sample.meta.get("duration")
    note = clip.note
    if isinstance(said, int | float) and clip.duration and abs(said - clip.duration) > APART_S:
        note = f"{note}; " if note else ""
        note += f"its row says {said:g} s, it lasts {clip.duration:.1f} s"
    if ref.span is not None and clip.duration and ref.span.start >= clip.duration:
        raise SampleError(f"its row shows it from {ref.span.start:g} s on, it lasts {clip.duration:.1f} s")
    return note, clip.duration


def _different(source: Source) -> Iterator[Sample]:
    """A sample of one medium for each that the rows name."""
    met: set[int] = set()
    for sample in source:
        for ref in sample.media:
            key = hash((ref.where, ref.kind))
            if key not in met:
                met.add(key)
                meta = {"duration": sample.meta["duration"]} if "duration" in sample.meta and not ref.span else {}
                yield Sample(sample.id, (), (ref,), meta=meta)


def _drawn(samples: Iterable[Sample], how_many: int, seed: int) -> list[Sample]:
    """Those with the least hashes: the same whatever the order, and no more are held than are drawn."""

    def rank(sample: Sample) -> int:
        text = f"{seed} {sample.media[0].where}".encode("utf-8", "replace")
        return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")

    return heapq.nsmallest(how_many, samples, key=rank)


def _decoded(samples: Iterable[Sample], num_workers: int, deadline_s: float) -> Iterator[tuple[Sample, Any]]:
    todo = enumerate(samples)
    pending = next(todo, None)
    if pending is None:
        return
    pool = WorkerPool(decode, num_workers, deadline_s=deadline_s, max_deaths=DEATHS)
    at_work: dict[int, Sample] = {}
    try:
        while pending is not None or at_work:
            while pending is not None and pool.num_idle:
                pool.submit(*pending)
                at_work[pending[0]] = pending[1]
                pending = next(todo, None)
            for outcome in pool.poll():
                yield at_work.pop(outcome.task), outcome
    finally:
        pool.close()
