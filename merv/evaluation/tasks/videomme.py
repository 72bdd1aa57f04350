"""Video-MME: four options about videos of eleven seconds to one hour, with and without subtitles.

Fu et al., CVPR 2025; https://github.com/BradyFU/Video-MME.  Its accuracy is told apart by length of the videos.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.evaluation.files import field, find_video, read_rows
from merv.evaluation.published_parsers import LETTERS, lmms_letter_option, videomme_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, dotted
from merv.evaluation.tasks.rows import by_letter, require_answers
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
        rows = []
        for number, row in enumerate(read_rows(path, get=self.source)):
            about = {name: value for name, value in row.items() if name != "questions"}
            rows += [({**about, **asked}, f"{path} row {number}") for asked in row.get("questions", [{}])]
        require_answers([row for row, _ in rows], "answer", path)
        place = self.place() if self.subtitles else None
        told: dict[str, str] = {}
        samples = []
        for row, where in rows:
            video = str(row.get("videoID") or field(row, "video_id", where))
            if place is not None and video not in told:
                told[video] = self.told(read_srt(place / f"{video}.srt"))
            samples.append(self._sample(row, video, told.get(video), where))
        return samples

    def _sample(self, row: dict[str, Any], video: str, subtitles: str | None, where: str) -> Sample:
        options = without_letters(field(row, "options", where))
        kind = str(field(row, "task_type", where))
        return self.question(
            where,
            name=field(row, "question_id", where),
            text=field(row, "question", where),
            options=options,
            answer=by_letter(field(row, "answer", where), options, where),
            video=find_video(self.media_path, video),
            kind=kind,
            groups=(kind, str(field(row, "duration", where)), *([str(row["domain"])] if "domain" in row else [])),
            subtitles=subtitles,
        )


def without_letters(options: Any) -> Any:
    """Options without the letters `A. ` or `(A) ` of their places before them; other values as they are."""
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        return options
    return [
        re.sub(rf"^\s*(?:\({letter}\)|{letter}[.)])\s*", "", option)
        for letter, option in zip(LETTERS, options, strict=False)
    ]
