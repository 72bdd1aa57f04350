"""TACoS: what a cook does, in videos of minutes with a hundred sentences each.

Regneri et al., "Grounding Action Descriptions in Videos", TACL 2013.  Read in the form of UniVTG and VideoMind (rows
in seconds), and in that of 2D-TAN (https://github.com/microsoft/VideoX), whose windows are frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from merv.data.sample import Sample
from merv.errors import ConfigError
from merv.evaluation.benchmark import BenchmarkConfig
from merv.evaluation.files import field, read_json
from merv.evaluation.task import TaskConfig
from merv.evaluation.tasks.spans_files import first_video, moment_sample, number_of, sentences_of
from merv.evaluation.tasks.spans_task import GroundingTask, grounding_sample
from merv.video.media import MediaRef

CAMERA = "-cam-002"
"""What the files of VideoMind's release have behind the video's name."""


@TaskConfig.register_subclass("tacos")
@dataclass
class TacosConfig(BenchmarkConfig):
    """TACoS, test split: `.jsonl` rows, or 2D-TAN's `.json`."""

    folder: ClassVar[str] = "tacos"
    file: ClassVar[str] = "test.jsonl"
    source: ClassVar[str] = "download it from https://huggingface.co/datasets/yeliudev/VideoMind-Dataset"

    def read(self) -> list[Sample]:
        """All sentences."""
        path = self.annotation_path
        if path.suffix == ".jsonl":
            return [
                moment_sample(row, self._media(str(field(row, "vid", where))), where) for row, where in self.rows()
            ]
        content = read_json(path, get=self.source)
        if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
            raise ConfigError(f"{path} holds no object of videos; {self.source}")
        return [
            sample for video, entry in content.items() for sample in self._frames(video, entry, f"{path} `{video}`")
        ]

    def _frames(self, video: str, entry: dict[str, Any], where: str) -> list[Sample]:
        """Sentences of a video whose windows are frame numbers."""
        rate = number_of(field(entry, "fps", where), "fps", where)
        if rate <= 0:
            raise ConfigError(f"{where}: fps is {rate}; expected more than 0")
        stem = video.rpartition(".")[0] or video
        duration = number_of(field(entry, "num_frames", where), "num_frames", where) / rate
        return [
            grounding_sample(
                f"{stem}_{number}",
                sentence,
                windows=[(start / rate, end / rate)],
                duration=duration,
                media=self._media(stem, video),
            )
            for number, ((start, end), sentence) in enumerate(sentences_of(entry, where))
        ]

    def _media(self, *names: str) -> MediaRef:
        return MediaRef(first_video(self.media_path, names[0] + CAMERA, *names))

    def task(self, samples: Sequence[Sample]) -> GroundingTask:
        """The task that asks them."""
        return GroundingTask(self.task_name, samples, condition=self.condition)
