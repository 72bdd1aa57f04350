"""Video-MME: four options about videos of eleven seconds to one hour, with and without subtitles.

Fu et al., CVPR 2025; https://github.com/BradyFU/Video-MME.  Its accuracy is told apart by length of the videos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from merv.data.formats.videomme import asked, question_of
from merv.data.sample import Sample
from merv.evaluation.files import read_rows
from merv.evaluation.published_parsers import lmms_letter_option, videomme_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, dotted
from merv.evaluation.tasks.rows import require_answers, strictly
from merv.evaluation.tasks.subtitles import SubtitledConfig, read_srt


def ask_official(question: str, options: Sequence[str], subtitles: str) -> str:
    """Video-MME's wording, as kept in lmms-eval (lmms_eval/tasks/videomme/utils.py)."""
    heard = f"This video's subtitles are listed below:\n{subtitles}\n" if subtitles else ""
    shown = "the video and the subtitles" if subtitles else "the video"
    return (
        f"{heard}Select the best answer to the following multiple-choice question based on {shown}. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\n"
        f"{question}\n{dotted(options)}\nThe best answer is:"
    )


@TaskConfig.register_subclass("videomme")
@dataclass
class VideommeConfig(SubtitledConfig):
    """Video-MME: the parquet file (needs pyarrow), or its rows as .json, .jsonl, or .json of {video, questions}.

    `accuracy/short`, `/medium` and `/long` are the official groups.  Lengths in seconds are not in the file.
    """

    folder: ClassVar[str] = "videomme"
    file: ClassVar[str] = "videomme/test-00000-of-00001.parquet"
    media: ClassVar[str] = "data"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/lmms-lab/Video-MME"
    subtitle_place: ClassVar[str] = "subtitle"
    protocols: ClassVar[Mapping[str, Protocol]] = {
        **SHARED,
        "official": Protocol(ask_official, videomme_option),
        "lmms-eval": Protocol(ask_official, lmms_letter_option),
    }

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = [(row, f"{path} row {number}") for number, row in asked(read_rows(path, get=self.source))]
        require_answers([row for row, _ in rows], "answer", path)
        place = self.place() if self.subtitles else None
        told: dict[str, str] = {}
        samples = []
        for row, where in rows:
            with strictly(where):
                question = question_of(row)
            if place is not None and question.video not in told:
                told[question.video] = self.told(read_srt(place / f"{question.video}.srt"))
            samples.append(self.sample_of(question, where, subtitles=told.get(question.video)))
        return samples
