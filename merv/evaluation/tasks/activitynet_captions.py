"""ActivityNet-Captions as grounding: several sentences on a video of minutes, one window each.

Krishna et al., "Dense-Captioning Events in Videos", ICCV 2017 (arXiv 1705.00754); as grounding val_2.json is the test
split (2D-TAN, VTimeLLM, VideoMind).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, find_video, read_json
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.spans_files import moment_sample, number_of, sentences_of
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample
from merv.video.media import MediaRef


@TaskConfig.register_subclass("activitynet-captions")
@dataclass
class ActivityNetCaptionsConfig(BenchmarkConfig):
    """ActivityNet-Captions grounding, val_2; the official object of videos, or `.jsonl` rows as Lighthouse has them.

    Windows may end past the duration: they are kept as annotated, predictions are clamped.
    """

    folder: ClassVar[str] = "activitynet_captions"
    file: ClassVar[str] = "val_2.json"
    source: ClassVar[str] = "download it from https://cs.stanford.edu/people/ranjaykrishna/densevid/"

    def read(self) -> list[Sample]:
        """All sentences."""
        path = self.annotation_path
        if path.suffix == ".jsonl":
            return [moment_sample(row, self._media(row), where) for row, where in self.rows()]
        content = read_json(path, get=self.source)
        if not isinstance(content, dict) or not content:
            raise ConfigError(f"{path} holds no object of videos; {self.source}")
        return [sample for video, entry in content.items() for sample in self._sentences(video, entry, path)]

    def _media(self, row: dict[str, Any]) -> MediaRef:
        return MediaRef(find_video(self.media_path, str(field(row, "vid", str(self.annotation_path)))))

    def _sentences(self, video: str, entry: Any, path: Path) -> list[Sample]:
        where = f"{path} `{video}`"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is no object; {self.source}")
        duration = number_of(field(entry, "duration", where), "duration", where)
        media = MediaRef(find_video(self.media_path, video))
        return [
            grounding_sample(f"{video}_{number}", sentence, windows=[window], duration=duration, media=media)
            for number, (window, sentence) in enumerate(sentences_of(entry, where))
        ]

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        return GroundingTask(self.task_name, samples, condition=self.condition)
