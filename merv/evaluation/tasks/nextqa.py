"""NExT-QA multiple choice: five options about causes, times and descriptions of everyday videos.

Xiao et al., CVPR 2021; https://github.com/doc-doc/NExT-QA, whose eval_mc.py counts type TP as TN and reports the
groups C, T and D besides all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from merv.data.formats.nextqa import question_of
from merv.data.formats.question_fields import with_mark
from merv.data.formats.role_rows import text_of
from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.files import read_json, read_rows
from merv.evaluation.published_parsers import mmmu_option
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.choice import ChoiceConfig
from merv.evaluation.tasks.protocols import SHARED, Protocol, ask_lmms, ask_merv
from merv.evaluation.tasks.rows import require_answers, strictly

VIDEO_MAP = "map_vid_vidorID.json"


@TaskConfig.register_subclass("nextqa-mc")
@dataclass
class NextqaConfig(ChoiceConfig):
    """NExT-QA multiple choice, val.csv; test.csv has answers too and is asked with `annotations`.

    `accuracy/C`, `/T` and `/D` are the official groups.  Aria's own prompt is not published: `aria` asks as we do.
    """

    folder: ClassVar[str] = "nextqa"
    file: ClassVar[str] = "val.csv"
    source: ClassVar[str] = "download it from https://github.com/doc-doc/NExT-QA"
    protocols: ClassVar[Mapping[str, Protocol]] = {
        **SHARED,
        "lmms-eval": Protocol(ask_lmms, mmmu_option),
        "aria": Protocol(ask_merv, mmmu_option),
    }

    video_map: Path | None = None
    """JSON of {video: path without suffix}; None means map_vid_vidorID.json beside the annotations, and where there
    is none, videos that stand in their folder by their own number."""

    def read(self) -> list[Sample]:
        """All questions of the file."""
        path = self.annotation_path
        rows = read_rows(path, get=self.source)
        require_answers(rows, "answer", path)
        places = self._places()
        return [self._sample(row, places, f"{path} row {number}") for number, row in enumerate(rows)]

    def _places(self) -> dict[str, str]:
        path = self.video_map or self.annotation_path.with_name(VIDEO_MAP)
        if self.video_map is None and not path.is_file():
            return {}
        places = read_json(path, get=self.source)
        if not isinstance(places, dict):
            raise ConfigError(f"{path} holds no object of video paths; download it again")
        return places

    def _sample(self, row: dict[str, Any], places: Mapping[str, str], where: str) -> Sample:
        with strictly(where):
            asked = question_of(row, places)
            kind = text_of(row, "type").replace("TP", "TN")
        text = asked.text if self.protocol == "lmms-eval" else with_mark(asked.text)  # lmms-eval asks without
        return self.sample_of(replace(asked, text=text, kind=kind, more={"groups": (kind, kind[:1])}), where)
