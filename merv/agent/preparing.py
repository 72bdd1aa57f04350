"""Videos on their way to the roles, in processes of their own: a file that hangs its decoder costs one process.

The processes live as long as the evaluation; what is asked about one video at a time is shared among them.
"""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from merv.data.sample import Example, Sample
from merv.data.workers import WorkerPool
from merv.errors import SampleError
from merv.video.media import MediaRef


class Preparing:
    """Processes that prepare what roles are asked and measure videos; close it, or use it in a `with`."""

    def __init__(self, processor: Any, *, num_workers: int, deadline_s: float) -> None:
        """Start the processes.

        Args:
            processor: `for_role(role)` gives a `merv.models.base:Processor`; it travels to the processes by pickle.
            num_workers: Number of processes; 0 prepares in this one, where a file that hangs, hangs everything.
            deadline_s: Seconds one piece may take; then its process is replaced and the piece has failed.
        """
        self._work = partial(_work, processor)
        self._pool = WorkerPool(self._work, num_workers, deadline_s=deadline_s) if num_workers else None

    def given_to(self, model: Any) -> Any:
        """The same model, weights shared, whose processor works in these processes."""
        other = copy.copy(model)
        other.processor = _Elsewhere(model.processor, self)
        return other

    def duration(self, ref: MediaRef) -> float:
        """Seconds a video lasts, from its packets; nothing is decoded.

        Raises:
            SampleError: it cannot be read, or not in time.
        """
        [found] = self.do([ref])
        if isinstance(found, SampleError):
            raise found
        return found

    def do(self, jobs: Sequence[Any]) -> list[Any]:
        """What became of each job, in order; a SampleError in place of one that failed."""
        if self._pool is None:
            return [_tried(self._work, job) for job in jobs]
        waiting, done = deque(enumerate(jobs)), dict[int, Any]()
        while len(done) < len(jobs):
            while waiting and self._pool.num_idle:
                self._pool.submit(*waiting.popleft())
            for outcome in self._pool.poll():
                done[outcome.task] = outcome.value if outcome.bad is None else SampleError(outcome.bad)
        return [done[number] for number in range(len(jobs))]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()


@dataclass(frozen=True)
class _Elsewhere:
    """A processor whose samples are prepared by other processes; all else is the processor's own."""

    processor: Any
    preparing: Preparing
    role: str = ""

    def for_role(self, role: str) -> "_Elsewhere":
        return replace(self, processor=self.processor.for_role(role), role=role)

    def prepare_all(self, samples: Sequence[Sample], *, answer: bool = True) -> list[Example | SampleError]:
        return self.preparing.do([(self.role, sample, answer) for sample in samples])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)


def _work(processor: Any, job: Any) -> Any:
    """A process's task: measure a video, or prepare a sample for a role."""
    if isinstance(job, MediaRef):
        return duration_of(job)
    role, sample, answer = job
    return processor.for_role(role).prepare(sample, answer=answer)


def _tried(work: Any, job: Any) -> Any:
    try:
        return work(job)
    except SampleError as error:
        return error


def duration_of(ref: MediaRef) -> float:
    """Seconds a video lasts, from its packets; for a folder of frames, at the rate such folders have.

    Raises:
        SampleError: it cannot be read or holds no frames.
    """
    from merv.video.decode import FOLDER_FPS
    from merv.video.files import open_video
    from merv.video.images import frames_of
    from merv.video.places import place_of
    from merv.video.timeline import read_timeline

    if (files := frames_of(ref)) is not None:
        return len(files) / FOLDER_FPS
    with open_video(place_of(ref), threads=1) as (container, stream):
        timeline = read_timeline(container, stream)
    if timeline is None:
        raise SampleError(f"video `{ref.where}` holds no frames; fetch it again or drop it")
    return timeline.duration
