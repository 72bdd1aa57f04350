"""Rewards that come with merv: right answers, right moments, a wanted form, words in common, a task's own score."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

from merv.data.dataset import Source
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.metrics.spans import Window, best_iou
from merv.evaluation.parsing import parse_option
from merv.evaluation.published_parsers import LETTERS
from merv.evaluation.span_parsing import parse_spans
from merv.evaluation.task import Task
from merv.rl.answers import reference_of
from merv.rl.reward_config import RewardConfig
from merv.rl.task_dataset import TaskSource

_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)


@RewardConfig.register_subclass("accuracy")
@dataclass
class AccuracyConfig(RewardConfig):
    """1 for the right option of a multiple-choice question, else for the reference's words; None without either."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function."""
        return accuracy


@RewardConfig.register_subclass("temporal-iou")
@dataclass
class TemporalIouConfig(RewardConfig):
    """IoU, 0..1, of the first span an answer names with the true one; None for samples without a span or windows."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function."""
        return temporal_iou


@RewardConfig.register_subclass("format")
@dataclass
class FormatConfig(RewardConfig):
    """1 for an answer of the wanted form, by default thoughts in <think> and then an answer in <answer>."""

    pattern: str = r"<think>.*?</think>\s*<answer>.*?</answer>"
    """Regular expression that the whole answer has to match; `.` matches new lines too."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function.

        Raises:
            ConfigError: the pattern is no regular expression.
        """
        try:
            return partial(_matches, re.compile(self.pattern, re.DOTALL))
        except re.error as error:
            raise ConfigError(
                f"reward `format`: pattern {self.pattern!r} is no regular expression: {error}"
            ) from error


@RewardConfig.register_subclass("text-similarity")
@dataclass
class TextSimilarityConfig(RewardConfig):
    """F1 of the words an answer has in common with the reference, 0..1, as SQuAD counts; None without a reference."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function."""
        return text_similarity


@RewardConfig.register_subclass("task")
@dataclass
class TaskRewardConfig(RewardConfig):
    """The score an evaluation task gives the answer; for `--dataset.type task`."""

    score: str = ""
    """Which of the task's scores, such as accuracy or iou; empty means its first."""

    def build(self, source: Source) -> Callable[..., Any]:
        """The function.

        Raises:
            ConfigError: the data is not a task's, or the task has no such score.
        """
        if not isinstance(source, TaskSource):
            raise ConfigError(
                f"reward `task` scores answers to a task's questions, and the dataset is `{source.name}`; "
                "use --dataset.type task --dataset.task.type NAME, or another reward"
            )
        sample = source[0]
        names = list(source.task.score(sample, source.task.parse(sample, "")))
        if self.score and self.score not in names:
            raise ConfigError(
                f"reward `task`: {source.task.name} has no score `{self.score}`; it has {', '.join(names)}"
            )
        return partial(_of_task, source.task, self.score or names[0])


def accuracy(completions: Sequence[str], samples: Sequence[Sample]) -> list[float | None]:
    """Whether each answer is right: what stands in <answer>, where that is there, else all of it."""
    return [_is_right(answer_part(text), sample) for text, sample in zip(completions, samples, strict=True)]


def temporal_iou(completions: Sequence[str], samples: Sequence[Sample]) -> list[float | None]:
    """How well the first span of each answer meets the true window it meets best; 0 when it names none."""
    return [_meets(text, sample) for text, sample in zip(completions, samples, strict=True)]


def text_similarity(completions: Sequence[str], references: Sequence[str | None]) -> list[float | None]:
    """F1 of words between each answer and its reference."""
    return [
        None if reference is None else word_f1(answer_part(text), reference)
        for text, reference in zip(completions, references, strict=True)
    ]


def answer_part(text: str) -> str:
    """What stands in the last <answer>, or all of the text."""
    return found[-1] if (found := _ANSWER.findall(text)) else text


def word_f1(text: str, reference: str) -> float:
    """Words in common, each as often as both have it, over the mean of both lengths; two empty texts are equal."""
    said, meant = Counter(words(text)), Counter(words(reference))
    longest = said.total() + meant.total()
    return 2 * (said & meant).total() / longest if longest else 1.0


def words(text: str) -> list[str]:
    """Words without case, punctuation and Unicode variants."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).split()


def _is_right(text: str, sample: Sample) -> float | None:
    options, answer, reference = sample.meta.get("options"), sample.meta.get("answer"), reference_of(sample)
    if options and answer is not None:
        return float(parse_option(text, options) == _number_of(answer, options, sample.id))
    return None if reference is None else float(words(text) == words(reference))


def _number_of(answer: Any, options: Sequence[str], name: str) -> int:
    """Index of the right option, which data name by it, by its words or by its letter."""
    if answer in options:
        return options.index(answer)
    number = LETTERS.find(answer.upper()) if isinstance(answer, str) and len(answer) == 1 else answer
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(options):
        raise ValueError(f"sample `{name}`: the answer {answer!r} is none of its {len(options)} options")
    return number


def _meets(text: str, sample: Sample) -> float | None:
    truths: list[Window] = [(float(start), float(end)) for start, end in sample.meta.get("windows") or ()]
    if sample.span is not None:
        truths.append((sample.span.start, sample.span.end))
    if not truths:
        return None
    duration = sample.meta.get("duration")
    return best_iou(parse_spans(text, inf if duration is None else float(duration))[:1], truths)


def _matches(pattern: re.Pattern[str], completions: Sequence[str]) -> list[float]:
    return [float(pattern.fullmatch(text.strip()) is not None) for text in completions]


def _of_task(task: Task, name: str, completions: Sequence[str], samples: Sequence[Sample]) -> list[float]:
    pairs = zip(completions, samples, strict=True)
    return [task.score(sample, task.parse(sample, text))[name] for text, sample in pairs]
