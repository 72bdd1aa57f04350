"""MLVU: seven tasks of multiple-choice questions about videos of three minutes to two hours.

Zhou et al., CVPR 2025; https://github.com/JUNJIE99/MLVU.  Its number, M-Avg, is the mean of the tasks' accuracies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.formats.mlvu import LISTS, question_of
from merv.data.sample import Sample
from merv.evaluation.files import read_rows
from merv.evaluation.published_parsers import lmms_letter_option, mlvu_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, bracketed, told
from merv.evaluation.tasks.rows import require_answers, strictly

_ATTEND = (
    "Carefully watch this video and pay attention to every detail. Based on your observations, select the best option "
    "that accurately addresses the question."
)


def ask_official(question: str, options: Sequence[str], subtitles: str) -> str:
    """MLVU's wording (videochat2/choice_bench.py)."""
    return (
        f"{_ATTEND}\n{told(subtitles)}Question: {question}\nOptions:\n{bracketed(options)}\n"
        "Only give the best option.\nBest option:("
    )


def ask_lmms_mlvu(question: str, options: Sequence[str], subtitles: str) -> str:
    """Wording of lmms-eval (lmms_eval/tasks/mlvu/utils.py), whose data holds the options within the question."""
    return f"\n{told(subtitles)}{question}\n{bracketed(options)}\nOnly give the best option.\n\nBest option: ("


@TaskConfig.register_subclass("mlvu")
@dataclass
class MlvuConfig(ChoiceConfig):
    """MLVU: a folder of one list a task, and one of videos with a folder a task; `m_avg` is the official number.

    An answer that is none of its options, as the lists hold some, is wrong and counted, as officially.
    """

    folder: ClassVar[str] = "mlvu"
    file: ClassVar[str] = "json"
    media: ClassVar[str] = "video"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/MLVU/MVLU"
    mean_of_kinds: ClassVar[str] = "m_avg"
    protocols: ClassVar[Mapping[str, Protocol]] = {
        **SHARED,
        "official": Protocol(ask_official, mlvu_option),
        "lmms-eval": Protocol(ask_lmms_mlvu, lmms_letter_option),
    }

    def read(self) -> list[Sample]:
        """All questions of the seven lists, which `annotations` is the folder of."""
        samples = []
        for name in LISTS:
            path = self.annotation_path / f"{name}.json"
            rows = read_rows(path, get=self.source)
            require_answers(rows, "answer", path)
            samples += [self._sample(row, name, i, f"{path} row {i}") for i, row in enumerate(rows)]
        return samples

    def _sample(self, row: dict[str, Any], name: str, number: int, where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, name, number)
        return self.sample_of(asked, where)
