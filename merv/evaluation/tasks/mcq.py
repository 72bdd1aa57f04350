"""Multiple-choice questions about videos: the prompt lists the options, the answer is read by `parse_option`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merv.data.datasets import SyntheticConfig
from merv.data.formats.synthetic import with_options
from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.evaluation.benchmark import Condition, under
from merv.evaluation.parsing import parse_option
from merv.evaluation.task import Parsed, Task, TaskConfig
from merv.video.media import MediaRef


class McqTask(Task):
    """Questions with options; the score is accuracy."""

    parser = "parse_option/1"

    def __init__(self, name: str, samples: Sequence[Sample], condition: Condition = "video") -> None:
        """Ask `samples`, whose `meta` holds options, answer (an option's index) and kind, under a condition."""
        self.name = name if condition == "video" else f"{name}-{condition}"
        self.condition = condition
        self._samples = [under(sample, condition) for sample in samples]

    def samples(self) -> Sequence[Sample]:
        """The questions."""
        return self._samples

    def parse(self, sample: Sample, text: str) -> Parsed:
        """Index of the option the text names."""
        value = parse_option(text, sample.meta["options"])
        return Parsed(value, ok=value is not None)

    def score(self, sample: Sample, parsed: Parsed) -> dict[str, float]:
        """1 for the right option."""
        return {"accuracy": float(parsed.ok and parsed.value == sample.meta["answer"])}

    def describe(self) -> dict[str, Any]:
        """The condition."""
        return {"condition": self.condition}


@TaskConfig.register_subclass("mcq")
@dataclass
class McqConfig(TaskConfig):
    """Any list of `{id, video | image, question, options, answer}`, with `kind` and `duration` (seconds) if known."""

    annotations: Path = Path("questions.json")
    """The list, a JSON file; an answer is an option's text or its number from 0."""
    media_root: Path | None = None
    """Folder the media paths start from; None means the folder of `annotations`."""
    task_id: str = ""
    """Name in folders and tables; empty means the registered name."""
    condition: Condition = "video"
    """What the model is shown: the clip, no-video: the text alone, single-frame: the middle frame in place of all."""

    def build(self) -> McqTask:
        """Read the questions.

        Raises:
            ConfigError: the file is missing or a row is not as it should be.
        """
        samples = read(self.annotations, self.media_root or self.annotations.parent)
        return McqTask(self.task_id or self.type_name, samples, self.condition)


@TaskConfig.register_subclass("synthetic-mcq")
@dataclass
class SyntheticMcqConfig(TaskConfig):
    """Held-out questions of the `synthetic` dataset: shape, colour, direction and order; guessing gives 0.25.

    With `single-frame` direction is a guess, and order is one between the two options that hold the colour seen.
    """

    dataset_root_dir: Path = Path("data")
    """The folder the dataset was drawn below."""
    condition: Condition = "video"
    """What the model is shown: the clip, no-video: the text alone, single-frame: the middle frame in place of all."""

    def build(self) -> McqTask:
        """Read eval.json.

        Raises:
            ConfigError: the dataset is not drawn.
        """
        root = SyntheticConfig(dataset_root_dir=self.dataset_root_dir).root
        return McqTask(self.type_name, read(root / "eval.json", root), self.condition)


def read(path: Path, media_root: Path) -> list[Sample]:
    """Samples of a list of multiple-choice questions; no media file is opened.

    Raises:
        ConfigError: the file is missing, holds no list, or a row is not as it should be.
    """
    if not path.is_file():
        raise ConfigError(f"question list {path} is missing; make or download the dataset, or set another path")
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON: {error}; download it again") from error
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{path} holds no list of questions; expected [{{id, video, question, options, answer}}]")
    return [_sample(row, media_root, f"{path} row {number}") for number, row in enumerate(rows)]


def _sample(row: Any, media_root: Path, where: str) -> Sample:
    if not isinstance(row, dict) or not isinstance(row.get("question"), str):
        raise ConfigError(f"{where}: expected an object with id, video or image, question, options, answer")
    options = row.get("options")
    if not isinstance(options, list) or len(options) < 2 or not all(isinstance(option, str) for option in options):
        raise ConfigError(f"{where}: options is {options!r}; expected a list of at least two texts")
    media = tuple(MediaRef(media_root / row[kind], kind) for kind in ("video", "image") if row.get(kind))
    return Sample(
        id=str(row.get("id", where)),
        turns=(Turn("user", with_options(row["question"], options)),),
        media=media,
        meta={
            "question": row["question"],
            "options": options,
            "answer": _answer(row.get("answer"), options, where),
            "kind": row.get("kind", ""),
            "duration": row.get("duration"),
        },
    )


def _answer(answer: Any, options: list[str], where: str) -> int:
    if isinstance(answer, str) and options.count(answer) == 1:
        return options.index(answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    raise ConfigError(f"{where}: answer {answer!r} is not one of the options {options}; repair or drop the row")
