"""What all multiple-choice benchmarks share: options of their configs, the sample they make, and the task."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from merv.data.formats.questions import Question
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import find_video
from merv.evaluation.published_parsers import LETTERS
from merv.evaluation.task import Item, Parsed, Task
from merv.evaluation.tasks.protocols import SHARED, Protocol
from merv.video.media import MediaRef, Span

log = logging.getLogger(__name__)

ProtocolName = Literal["merv", "reference", "videomind", "lmms-eval", "official", "aria"]


class MultipleChoiceTask(Task):
    """Questions with options; the score is accuracy.

    `meta` of a sample holds question and options (texts without letters), answer (an index; None where the list names
    no option, which no answer can be right about), kind, groups (names under which its score is told apart), duration.
    """

    def __init__(self, name: str, samples: Sequence[Sample], config: "ChoiceConfig") -> None:
        """Ask `samples` as `config.protocol` says."""
        self.name, self.config = name, config
        self._samples = samples
        self.parser = config.way.parser

    def samples(self) -> Sequence[Sample]:
        """The questions."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """Index of the option the text names."""
        value = self.config.way.read(text, sample.meta["options"])
        return Parsed(value, ok=value is not None)

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """1 for the right option's index; of two options with the same text only one is right."""
        return {"accuracy": float(parsed.ok and parsed.value == sample.meta["answer"])}

    def describe(self) -> dict[str, Any]:
        """Protocol and condition, and how many questions have no right option or, where asked with, no subtitles."""
        counts = {"without_right_option": sum(sample.meta["answer"] is None for sample in self._samples)}
        if any("subtitles" in sample.meta for sample in self._samples):
            counts["without_subtitles"] = sum(not sample.meta["subtitles"] for sample in self._samples)
        return {"protocol": self.config.protocol, "condition": self.config.condition, **counts}

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Accuracy over all items, over each group and, for some benchmarks, the mean over kinds; with counts."""
        groups: defaultdict[str, list[float]] = defaultdict(list)
        for item in items:
            for group in item.sample.meta["groups"]:
                groups[group].append(item.scores["accuracy"])
        whole = super().summary(items)
        means = {group: sum(scores) / len(scores) for group, scores in sorted(groups.items())}
        summary = {"accuracy": whole["accuracy"]}
        if self.config.mean_of_kinds:
            kinds = {item.sample.meta["kind"] for item in items}
            summary[self.config.mean_of_kinds] = sum(means[kind] for kind in kinds) / len(kinds)
        summary |= {f"accuracy/{group}": mean for group, mean in means.items()}
        return summary | {name: whole[name] for name in ("num_items", "unparsed", "failed")}


@dataclass
class ChoiceConfig(BenchmarkConfig):
    """Options of multiple-choice benchmarks."""

    protocols: ClassVar[Mapping[str, Protocol]] = SHARED
    """The ways to ask this benchmark."""
    mean_of_kinds: ClassVar[str] = ""
    """Name of the mean over kinds of question, where a benchmark reports one; empty where not."""

    protocol: ProtocolName = "merv"
    """Prompt and answer parser: merv: ours; reference: those of the MERV paper's code; videomind: VideoMind's;
    lmms-eval: that tool's for this benchmark; official: the benchmark's own; aria: Aria's for NExT-QA."""

    def __post_init__(self) -> None:
        """Refuse a protocol that the benchmark does not have."""
        super().__post_init__()
        if self.protocol not in self.protocols:
            raise ConfigError(f"{self.folder} has no protocol `{self.protocol}`; it has {', '.join(self.protocols)}")

    @property
    def way(self) -> Protocol:
        """The chosen way to ask and read."""
        return self.protocols[self.protocol]

    @property
    def task_name(self) -> str:
        """The registered name with the condition and the protocol, if they are others than usual."""
        return super().task_name if self.protocol == "merv" else f"{super().task_name}-{self.protocol}"

    def task(self, samples: Sequence[Sample]) -> Task:
        """The task that asks `samples`."""
        self.check_answers(samples)
        return MultipleChoiceTask(self.task_name, samples, self)

    def check_answers(self, samples: Sequence[Sample]) -> None:
        """Say how many questions have no right option.

        Raises:
            ConfigError: none has one.
        """
        broken = [sample.id for sample in samples if sample.meta["answer"] is None]
        if len(broken) == len(samples):
            raise ConfigError(f"{self.annotation_path}: no answer is among its question's options; download it again")
        if broken:
            log.warning(
                "%s: %d questions, first `%s`, have no right option", self.annotation_path, len(broken), broken[0]
            )

    def sample_of(self, asked: Question, where: str, **rest: Any) -> Sample:
        """A sample of what a row says; `rest` goes to `question`, the video among it where it is not to be found."""
        if "video" not in rest:
            rest["video"] = self._video_of(asked)
        return self.question(
            where,
            name=asked.id,
            text=asked.text,
            options=asked.options,
            answer=None if isinstance(asked.answer, str) else asked.answer,
            span=asked.span,
            kind=asked.kind,
            groups=asked.more.get("groups", ()),
            duration=asked.duration,
            **rest,
        )

    def _video_of(self, asked: Question) -> Path:
        """The video of a question under the first of its names that is there; under the last where none is."""
        paths = [find_video(self.media_path, name) for name in (asked.video, *asked.also)]
        return next((path for path in paths if path.exists()), paths[-1])

    def question(
        self,
        where: str,
        *,
        name: Any,
        text: Any,
        options: Any,
        answer: int | None,
        video: Path,
        span: Span | None = None,
        kind: str = "",
        groups: Sequence[str] = (),
        duration: float | None = None,
        subtitles: str | None = None,
        **meta: Any,
    ) -> Sample:
        """A sample that asks as the protocol says.

        Args:
            where: File and row, for messages.
            name: Its id.
            text: The question.
            options: Texts without letters.
            answer: Index of the right one; None where the list names none of them.
            video: File or folder of frames.
            span: The stretch to show, in seconds; None means all of it.
            kind: The benchmark's type of question.
            groups: What its score is told apart by; none means `kind`.
            duration: Length of the video in seconds, if the list says.
            subtitles: To be put before the question; None where the task goes without.
            meta: Further fields to keep.

        Raises:
            ConfigError: there are no two options, or a text is none.
        """
        texts = isinstance(options, list) and all(isinstance(option, str) for option in options)
        if not texts or not 2 <= len(options) <= len(LETTERS):
            raise ConfigError(f"{where}: options are {options!r}; expected a list of at least two texts")
        if not isinstance(text, str):  # an empty one stands in MLVU's own list
            raise ConfigError(f"{where}: question is {text!r}; expected a text")
        if subtitles is not None:
            meta["subtitles"] = bool(subtitles)
        return Sample(
            id=str(name),
            turns=(Turn("user", self.way.ask(text.strip(), options, subtitles or "")),),
            media=(MediaRef(video, "video", span),),
            meta={
                "question": text.strip(),
                "options": options,
                "answer": answer,
                "kind": kind,
                "groups": tuple(groups) or ((kind,) if kind else ()),
                "duration": duration,
                **meta,
            },
        )
