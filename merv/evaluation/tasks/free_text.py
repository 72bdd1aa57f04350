"""Tasks whose answers are free text: settled by a judge, or compared with the true answer word by word."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from merv.data.sample import Sample
from merv.evaluation.judge.asking import verdicts
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.evaluation.judge.prompts import Case, wording
from merv.evaluation.judge.replies import Verdict
from merv.evaluation.metrics.qa import activitynet_qa
from merv.evaluation.task import Item, Parsed, Task

Protocol = Literal["merv", "official"]


class JudgedTask(Task):
    """Questions whose answers a judge settles, when all are there.

    Scores are `accuracy`, 1 where the judge says yes, and `judge_score`, 0..5.  An answer without words is wrong
    without the judge; one the judge says nothing readable about is wrong and counted as `judge_unparsed`.
    """

    parser = "text/1"

    def __init__(self, name: str, samples: Sequence[Sample], options: dict[str, Any], judge: JudgeConfig) -> None:
        """Ask `samples`, whose `meta` holds question and answer.

        Raises:
            ConfigError: the judge lacks something, such as its key.
        """
        self.name, self._samples, self._options, self._config = name, samples, options, judge
        self.judge: Judge = judge.build()
        self._wording = wording(judge.protocol, judge.prompt)

    def samples(self) -> Sequence[Sample]:
        """The questions."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """The answer without blanks around it."""
        return Parsed(text.strip(), ok=bool(text.strip()))

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """Nothing yet: the judge speaks at the end."""
        return {"accuracy": 0.0, "judge_score": 0.0, "judge_unparsed": 0.0}

    def settle(self, items: Sequence[Item]) -> list[Item]:
        """The items with the judge's scores.

        Raises:
            RunStopped: the judge cannot be reached; the same command goes on.
            ConfigError: it refuses to reply.
        """
        asked = [index for index, item in enumerate(items) if item.failed is None and item.parsed.ok]
        settled = list(items)
        for index, verdict in zip(asked, self._verdicts([items[index] for index in asked]), strict=True):
            found = (float(verdict.correct), float(verdict.score), 0.0) if verdict else (0.0, 0.0, 1.0)
            scores = dict(zip(("accuracy", "judge_score", "judge_unparsed"), found, strict=True))
            settled[index] = replace(items[index], scores={**items[index].scores, **scores})
        return settled

    def _verdicts(self, items: Sequence[Item]) -> list[Verdict | None]:
        cases = [
            Case(item.sample.meta["question"], item.sample.meta["answer"], str(item.parsed.value)) for item in items
        ]
        return verdicts(self.judge, self._config, cases)

    def describe(self) -> dict[str, Any]:
        """Options, and the judge with its protocol and the hash of its prompt."""
        judge = {
            **self.judge.describe(),
            "protocol": self._config.protocol,
            "prompt_sha256": self._wording.sha256,
        }
        return {**self._options, "score": "judge", "judge": judge}

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Means over all items, and how many the judge said nothing readable about."""
        unread = sum(item.scores["judge_unparsed"] for item in items)
        bare = [replace(item, scores=_without(item.scores, "judge_unparsed")) for item in items]
        return {**super().summary(bare), "judge_unparsed": int(unread)}


class ExactTask(Task):
    """Questions whose answers have to be the true one, word by word.

    The protocol `official` wants the same string; `merv` passes over case, punctuation and articles.
    """

    def __init__(self, name: str, samples: Sequence[Sample], options: dict[str, Any], protocol: Protocol) -> None:
        """Ask `samples`, whose `meta` holds the answer and, for ActivityNet-QA, type 0..8 and place in its file."""
        self.name, self._samples, self._options, self._protocol = name, samples, options, protocol
        self.parser = f"exact-{protocol}/1"

    def samples(self) -> Sequence[Sample]:
        """The questions."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """The answer as the protocol compares it."""
        value = self._comparable(text)
        return Parsed(value, ok=bool(value))

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """1 for the true answer."""
        return {"accuracy": float(parsed.ok and parsed.value == self._comparable(sample.meta["answer"]))}

    def describe(self) -> dict[str, Any]:
        """Options and protocol."""
        return {**self._options, "score": "exact", "protocol": self._protocol}

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """Means over all items and kinds; of ActivityNet-QA also `accuracy/Free`, types 3 to 8 together."""
        rows = super().summary(items)
        if not any("type" in item.sample.meta for item in items):
            return rows
        ordered = sorted(items, key=lambda item: item.sample.meta["place"])  # the official number hangs on it
        table = activitynet_qa(
            ["right" if item.scores["accuracy"] == 1 else None for item in ordered],
            ["right"] * len(ordered),
            [item.sample.meta["type"] for item in ordered],
            protocol="official" if self._protocol == "official" else "corrected",
        )
        return {**rows, **({"accuracy/Free": table["Free"]} if "Free" in table else {})}

    def _comparable(self, text: str) -> str:
        return text if self._protocol == "official" else plain(text)


def plain(text: str) -> str:
    """A text by its words: Unicode variants, case, punctuation and English articles do not count."""
    words = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the")) or " ".join(words)


def _without(scores: Any, name: str) -> dict[str, float]:
    return {key: value for key, value in scores.items() if key != name}
