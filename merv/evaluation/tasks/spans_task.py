"""Questions about when: an answer is a stretch of a video, alone (grounding) or beside an option (grounded QA)."""

import re
from collections.abc import Sequence
from math import inf, isfinite
from typing import Any, ClassVar

from merv.data.formats.question_fields import in_order
from merv.data.formats.questions import Question
from merv.data.formats.synthetic import with_options
from merv.data.sample import Sample, Turn
from merv.errors import SampleError
from merv.evaluation.benchmark import Condition
from merv.evaluation.metrics.grounding import THRESHOLDS, moment_table
from merv.evaluation.metrics.spans import Window, best_iou, clamp, iop, iou
from merv.evaluation.parsing import parse_option
from merv.evaluation.span_parsing import inside, read_spans, without_spans
from merv.evaluation.task import Item, Parsed, Task
from merv.models.reply import Reply
from merv.video.media import MediaRef

_ANSWER_KEY = re.compile(r"""["'](?:answer|option|choice|letter)["']\s*:\s*["']([^"']*)["']""", re.IGNORECASE)
"""The option in an answer that is JSON."""
NOWHERE = (-1.0, -1.0)
"""Stands for a span that is none: it meets no window."""
_FORM = "in the form: start - end seconds."


class GroundingTask(Task):
    """When does it happen?  The first span is the answer; its IoU with the true window it meets best counts.

    `Parsed.value` is `{"spans": [[start, end] or [start, end, score], ...], "answer": an option's index or None}`,
    seconds, best first.  Spans of a text are clamped to the video; others count as they are, as official scripts do.
    """

    parser = "parse_spans/1"
    strict: ClassVar[bool] = False
    """Whether R1 asks for more than its threshold."""

    def __init__(
        self, name: str, samples: Sequence[Sample], *, condition: Condition = "video", protocol: str = ""
    ) -> None:
        """Ask `samples`, whose `meta` holds windows (seconds) and duration (seconds, None when not known).

        Args:
            name: of the task's folder.
            samples: the questions, as the condition shows them.
            condition: for the card.
            protocol: whose arithmetic, for the card; empty where all evaluators agree.
        """
        self.name = name
        self.condition = condition
        self.protocol = protocol
        self._samples = samples

    def samples(self) -> Sequence[Sample]:
        """The questions."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """The spans a text names; not ok when none of them lies in the video."""
        value, ok = read_moments(text, _duration(sample))
        return Parsed(value, ok=ok)

    def read(self, sample: Sample, reply: Reply) -> Parsed:
        """The moments a head found; without one, the spans the text names."""
        if reply.spans is None:
            return self.parse(sample, reply.text)
        value, ok = found_moments(reply.spans, _duration(sample))
        return Parsed(value, ok=ok)

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """`iou` of the first span, 0..1, and `R1@0.3`, `R1@0.5`, `R1@0.7`: whether it reaches that."""
        value = best_iou(predicted(parsed)[:1], sample.meta["windows"], self.iou)
        return {"iou": value, **{f"R1@{t}": float(self._reaches(value, t)) for t in THRESHOLDS}}

    def _reaches(self, value: float, threshold: float) -> bool:
        return value > threshold if self.strict else value >= threshold

    def iou(self, pred: Window, truth: Window) -> float:
        """IoU of two windows as the benchmark has it, 0..1."""
        return iou(pred, truth)

    def describe(self) -> dict[str, Any]:
        """The condition, and the protocol where there are several."""
        return {"condition": self.condition, **({"protocol": self.protocol} if self.protocol else {})}

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Means and counts, the rows of the benchmark's own table, and how many answers leave the video."""
        leaving = sum(_leaves(item) for item in items)
        return {**super().summary(items), **self.table(items), "past_duration": leaving}

    def table(self, items: Sequence[Item]) -> dict[str, float]:
        """Rows as the benchmark's evaluator names them, 0..1; here R1 at 0.3, 0.5 and 0.7, and mIoU."""
        return moment_table(
            [predicted(item.parsed) for item in items],
            [item.sample.meta["windows"] for item in items],
            measure=self.iou,
            strict=self.strict,
        )


class GroundedQaTask(GroundingTask):
    """Which option is right, and when does one see it?  `meta` holds options and answer (an index) as well."""

    parser = "parse_option/1+parse_spans/1"

    def parse(self, sample: Sample, text: str) -> Parsed:
        """Option and spans of a text; ok only when it has both, but what it has counts."""
        options = sample.meta["options"]
        answer = read_option(text, options)
        for option in _with_times(options):
            text = re.sub(re.escape(option), " ", text, flags=re.IGNORECASE)
        value, ok = read_moments(text, _duration(sample))
        return Parsed({**value, "answer": answer}, ok=ok and answer is not None)

    def read(self, sample: Sample, reply: Reply) -> Parsed:
        """The option of the text, and the moments a head found; without one, the spans of the text."""
        if reply.spans is None:
            return self.parse(sample, reply.text)
        value, ok = found_moments(reply.spans, _duration(sample))
        answer = read_option(reply.text, sample.meta["options"])
        return Parsed({**value, "answer": answer}, ok=ok and answer is not None)

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """As for grounding, `iop` of the first span, `accuracy`, and `Acc@GQA`: the right option and an IoP of 0.5."""
        right = is_right(sample, parsed)
        share = best_iou(predicted(parsed)[:1], sample.meta["windows"], self.iop)
        scores = super().score(sample, parsed)
        return {"accuracy": float(right), **scores, "iop": share, "Acc@GQA": float(right and share >= 0.5)}

    def iop(self, pred: Window, truth: Window) -> float:
        """Share of the prediction inside the truth; 0 for one without length."""
        return iop(pred, truth, protocol="videomind")


def predicted(parsed: Parsed) -> list[Window]:
    """Spans of an answer in the order given, in seconds."""
    return [(start, end) for start, end, _ in ranked(parsed)]


def ranked(parsed: Parsed) -> list[tuple[float, float, float]]:
    """(start, end, score) of an answer's spans in the order given, ends in order; a missing score is 0.

    One that is not finite becomes `NOWHERE`, so that the next does not move up.
    """
    spans: list[tuple[float, float, float]] = []
    for start, end, *score in (parsed.value or {}).get("spans", []):
        window = (float(start), float(end)) if isfinite(start) and isfinite(end) else NOWHERE
        worth = float(score[0]) if score and isfinite(score[0]) else 0.0
        spans.append((min(window), max(window), worth))
    return spans


def read_moments(text: str, duration: float) -> tuple[dict[str, Any], bool]:
    """`spans` of a text, ends clamped to the video, with `clamped`, how many that befell; and whether any is in it.

    A span wholly outside stays as it is and takes part, so that the next does not move up: it meets nothing.
    """
    said = read_spans(text, duration)
    spans = [clamp(span, duration) if inside([span], duration) else span for span in said]
    past = sum(start < 0 or end > duration for start, end in said)
    found = {"spans": [list(span) for span in spans], "answer": None}
    return {**found, **({"clamped": past} if past else {})}, bool(inside(said, duration))


def found_moments(spans: Sequence[Sequence[float]], duration: float) -> tuple[dict[str, Any], bool]:
    """The same of moments a head found, (start, end, score), which are in the video unless its length is wrong."""
    windows = [(float(start), float(end)) for start, end, _ in spans]
    return {"spans": [list(span) for span in spans], "answer": None}, bool(inside(windows, duration))


def is_right(sample: Sample, parsed: Parsed) -> bool:
    """Whether an answer names the right option."""
    return (parsed.value or {}).get("answer") == sample.meta["answer"]


def read_option(text: str, options: Sequence[str]) -> int | None:
    """Index of the option a text names beside its spans; None when it names none or several."""
    if keyed := _ANSWER_KEY.search(text):
        return parse_option(keyed[1], options)
    found = parse_option(without_spans(text), options)
    return parse_option(text, options) if found is None and _with_times(options) else found


def _with_times(options: Sequence[str]) -> list[str]:
    """Options that themselves read as spans."""
    return [option for option in options if without_spans(option) != option]


def _duration(sample: Sample) -> float:
    duration = sample.meta.get("duration")
    return inf if duration is None else float(duration)


def _leaves(item: Item) -> bool:
    value, duration = item.parsed.value or {}, _duration(item.sample)
    return bool(value.get("clamped")) or any(start < 0 or end > duration for start, end in predicted(item.parsed))


def ask_when(query: str, duration: float | None, *, question: bool = False) -> str:
    """The prompt of grounding, of a sentence or a `question`; it names the duration (seconds) when that is known."""
    asked = query if question else f'When does this happen in the video: "{query}"?'
    what = "of the moment that shows it" if question else "of that moment"
    return f"{asked}{_length(duration)} Answer with the start and end {what} in seconds, {_FORM}"


def ask_and_ground(question: str, options: Sequence[str], duration: float | None) -> str:
    """The prompt of grounded QA; it names the duration (seconds) when that is known."""
    return (
        f"{with_options(question, options)}{_length(duration)} Answer with the letter of the right option, then with "
        f"the start and end of the moment that shows it in seconds, {_FORM.replace('start', '(letter) start')}"
    )


def _length(duration: float | None) -> str:
    return "" if duration is None else f" The video is {duration:.1f} seconds long."


def grounding_sample(
    identifier: str,
    query: str,
    *,
    windows: Sequence[Window],
    duration: float | None,
    media: MediaRef,
    question: bool = False,
    **more: Any,
) -> Sample:
    """A question of when; times in seconds, `query` is a sentence or a question, `more` joins its meta."""
    query = " ".join(query.split())
    meta = {"windows": list(windows), "duration": duration, "query": query, **more}
    return Sample(identifier, (Turn("user", ask_when(query, duration, question=question)),), (media,), meta=meta)


def grounded_qa_sample(
    identifier: str,
    question: str,
    *,
    options: Sequence[str],
    answer: int,
    windows: Sequence[Window],
    duration: float | None,
    media: MediaRef,
    **more: Any,
) -> Sample:
    """A multiple-choice question with the windows that show its answer (an index); times in seconds."""
    question = " ".join(question.split())
    prompt = ask_and_ground(question, options, duration)
    kept = {"question": question, "options": list(options), "answer": answer}
    meta = {**kept, "windows": list(windows), "duration": duration, **more}
    return Sample(identifier, (Turn("user", prompt),), (media,), meta=meta)


def asked_and_grounded(asked: Question, media: MediaRef) -> Sample:
    """The same of what a row says; windows whose ends are in the wrong order are turned.

    Raises:
        SampleError: there are no two options, none of them is right, or no window shows it.
    """
    if len(asked.options) < 2:
        raise SampleError(f"options are {asked.options!r}; expected at least two texts")
    if not asked.windows:
        raise SampleError("windows are []; expected [[start, end], ...] in seconds")
    if not isinstance(asked.answer, int):
        raise SampleError(f"answer {asked.answer!r} is none of its {len(asked.options)} options")
    return grounded_qa_sample(
        asked.id,
        asked.text,
        options=asked.options,
        answer=asked.answer,
        windows=in_order(asked.windows),
        duration=asked.duration,
        media=media,
        **({"kind": asked.kind} if asked.kind else {}),
    )
