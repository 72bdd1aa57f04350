"""MVBench: twenty tasks of 200 multiple-choice questions each that need more than one frame.

Li et al., CVPR 2024; https://github.com/OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb, which has the prompt and
the check of answers, and averages over tasks, all equally large.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.formats.mvbench import FOLDERS, FRAME_FOLDERS, question_of
from merv.data.sample import Sample
from merv.evaluation.files import read_rows
from merv.evaluation.published_parsers import lmms_mvbench_option, mvbench_option
from merv.evaluation.task import Item, Task, TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig, MultipleChoiceTask
from merv.evaluation.tasks.protocols import SHARED, Protocol, bracketed, told
from merv.evaluation.tasks.rows import require_answers, strictly

_ATTEND = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that accurately "
    "addresses the question."
)


def ask_official(question: str, options: Sequence[str], subtitles: str) -> str:
    """MVBench's wording."""
    return (
        f"{_ATTEND}\n{told(subtitles)}Question: {question}\nOptions:\n{bracketed(options)}\n"
        "Only give the best option.\nBest option:("
    )


def ask_lmms_mvbench(question: str, options: Sequence[str], subtitles: str) -> str:
    """Wording of lmms-eval (lmms_eval/tasks/mvbench)."""
    post = "Answer with the option's letter from the given choices directly."
    return f"{told(subtitles)}Question:{question}\nOption:\n{bracketed(options)}\n{post}"


class MvbenchTask(MultipleChoiceTask):
    """MVBench, with the number that lmms-eval prints."""

    def summary(self, items: Sequence[Item]) -> dict[str, float | int]:
        """As for the others; with lmms-eval's protocol also its accuracy, which leaves empty answers out."""
        summary = super().summary(items)
        if self.config.protocol == "lmms-eval":
            said = [item.scores["accuracy"] for item in items if item.text != ""]
            summary["accuracy_of_answered"] = sum(said) / len(said) if said else 0.0
        return summary


@TaskConfig.register_subclass("mvbench")
@dataclass
class MvbenchConfig(ChoiceConfig):
    """MVBench: a folder of one list a task, and a folder of videos as the official notebook lays it out.

    `mean_over_tasks` is the official average.  Subtitles of episodic reasoning are not shown, as officially.
    """

    folder: ClassVar[str] = "mvbench"
    file: ClassVar[str] = "json"
    media: ClassVar[str] = "video"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/OpenGVLab/MVBench"
    mean_of_kinds: ClassVar[str] = "mean_over_tasks"
    protocols: ClassVar[Mapping[str, Protocol]] = {
        **SHARED,
        "official": Protocol(ask_official, mvbench_option),
        "lmms-eval": Protocol(ask_lmms_mvbench, lmms_mvbench_option),
    }

    def read(self) -> list[Sample]:
        """All questions of the twenty lists, which `annotations` is the folder of."""
        samples = []
        for kind in FOLDERS:
            path = self.annotation_path / f"{kind}.json"
            rows = read_rows(path, get=self.source)
            require_answers(rows, "answer", path)
            samples += [self._sample(row, kind, i, f"{path} row {i}") for i, row in enumerate(rows)]
        return samples

    def task(self, samples: Sequence[Sample]) -> Task:
        """The task that asks `samples`."""
        self.check_answers(samples)
        return MvbenchTask(self.task_name, samples, self)

    def _sample(self, row: dict[str, Any], kind: str, number: int, where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, kind, number)
        if kind in FRAME_FOLDERS:
            return self.sample_of(asked, where, video=self.media_path / asked.video)
        return self.sample_of(asked, where)
