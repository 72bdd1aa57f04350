"""What a sample asks of an agent: words, options, and the stretch of video to look at."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from merv.data.formats.synthetic import with_options
from merv.data.sample import Sample, Turn
from merv.errors import SampleError
from merv.evaluation.metrics.spans import Window
from merv.video.media import MediaRef, Span


@dataclass(frozen=True)
class Case:
    """A sample as an agent sees it."""

    sample: Sample
    text: str
    """The question, or the sentence whose moment is sought."""
    options: tuple[str, ...]
    """Texts without letters; empty for free answers."""
    may_answer: bool
    """Whether a question is to be answered; otherwise only its moment is sought."""
    needs_answer: bool
    """Whether the answer is scored, so that a plan without an answerer does not do."""
    duration: float
    """Seconds of the whole video."""
    shown: Window
    """The stretch there is to look at, in seconds of the video."""

    def asks(self, **meta: Any) -> Sample:
        """The sample for a role other than the answerer: it sees `meta` and the duration, and no true answer."""
        words = str(meta.get("query", self.text))
        return Sample(
            self.sample.id, (Turn("user", words),), self.sample.media, meta={"duration": self.duration, **meta}
        )

    @property
    def plain(self) -> tuple[Turn, ...]:
        """The question with its options in nobody's words; an answerer puts them in those it was trained with."""
        return (Turn("user", with_options(self.text, self.options)),)

    def crop(self, window: Window, turns: Sequence[Turn]) -> Sample:
        """The sample for the answerer: the question, and that stretch of the video alone."""
        media = self.sample.media
        if window != self.shown:
            media = (replace(media[0], span=Span(*window)),)
        meta: dict[str, Any] = {"duration": self.duration}
        if self.options and tuple(turns) == self.plain:
            meta |= {"task": "choice", "question": self.text, "options": list(self.options)}
        return Sample(self.sample.id, tuple(turns), media, meta=meta)


def read_case(sample: Sample, measure: Callable[[MediaRef], float]) -> Case:
    """What a sample asks; `measure` gives the seconds of a video where the sample does not say.

    Raises:
        SampleError: an agent cannot answer it, or its video cannot be measured.
    """
    if reason := unfit(sample):
        raise SampleError(reason)
    meta, [ref] = sample.meta, sample.media
    options = tuple(str(option) for option in meta.get("options") or ())
    may_answer = not asks_only_when(sample)
    duration, shown = _shown(ref, meta.get("duration"), measure)
    return Case(
        sample,
        text=_words(sample, "question") or _words(sample, "query"),
        options=options,
        may_answer=may_answer,
        needs_answer=may_answer and (bool(options) or "answer" in meta),
        duration=duration,
        shown=shown,
    )


def unfit(sample: Sample) -> str | None:
    """Why an agent cannot answer a sample; None when it can."""
    if not _words(sample, "question") and not _words(sample, "query"):
        return (
            f"sample `{sample.id}` has neither a query nor a question in its meta; an agent cannot be asked about it"
        )
    kinds = [ref.kind for ref in sample.media]
    if kinds != ["video"]:
        what = " and ".join(kinds) or "nothing"
        return f"sample `{sample.id}` shows {what}; an agent looks for moments of one video"
    span = sample.media[0].span
    if span is not None and span.duration <= 0:
        return f"sample `{sample.id}` shows a single instant; an agent looks for moments of a stretch"
    return None


def asks_only_when(sample: Sample) -> bool:
    """Whether a sample seeks a moment alone; one with a question seeks its answer."""
    return not _words(sample, "question")


def _words(sample: Sample, key: str) -> str:
    return " ".join(str(sample.meta.get(key) or "").split())


def _shown(ref: MediaRef, said: Any, measure: Callable[[MediaRef], float]) -> tuple[float, Window]:
    """Seconds of the video, and the stretch that the reference means."""
    span = ref.span
    if span is not None and math.isfinite(span.end):
        return max(span.end, _seconds(said)), (span.start, span.end)
    duration = 0.0 if span is not None else _seconds(said)  # what is said may be about the stretch
    if not duration:
        duration = measure(ref)
    start = 0.0 if span is None else span.start
    if not start < duration:
        raise SampleError(f"video `{ref.where}` lasts {duration:g} s; nothing is left from second {start:g} on")
    return duration, (start, duration)


def _seconds(value: Any) -> float:
    """A duration as a number; 0 where it says nothing."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
