"""Ask a run one question: `merv ask --model runs/<run_id> --video a.mp4 --question "What happens?"`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from merv.data.sample import Sample, Turn
from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.runs.load import load
from merv.video.media import MediaRef, Span


@dataclass
class AskConfig:
    """One question."""

    model: Path = Path()
    """Folder of a finished run."""
    video: Path | None = None
    """Video file, animated GIF or folder of frames; None asks about an image or about nothing."""
    image: Path | None = None
    """Still image, in place of a video."""
    question: str = ""
    """What to ask."""
    start: float | None = None
    """Second of the video to begin at; None means its beginning."""
    end: float | None = None
    """Second of the video to end at; None means its end."""
    max_new_tokens: int = 256
    """Longest answer in tokens."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.model == Path():
            raise ConfigError("model is not set; name the folder of a finished run: --model runs/<run_id>")
        if not self.question.strip():
            raise ConfigError('question is empty; ask one: --question "What happens?"')
        if self.video is not None and self.image is not None:
            raise ConfigError("video and image are both set; a question is about one of them")
        start, end = self.start or 0.0, float("inf") if self.end is None else self.end
        if not 0 <= start <= end:
            raise ConfigError(f"start {start:g} s and end {end:g} s: expected 0 <= start <= end")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")

    def sample(self) -> Sample:
        """The question as a sample."""
        media: tuple[MediaRef, ...] = ()
        if self.image is not None:
            media = (MediaRef(self.image, "image"),)
        elif self.video is not None:
            whole = self.start is None and self.end is None
            span = None if whole else Span(self.start or 0.0, float("inf") if self.end is None else self.end)
            media = (MediaRef(self.video, "video", span),)
        return Sample("question", (Turn("user", self.question),), media)


def run(config: AskConfig, write: Callable[[str], object]) -> int:
    """Load the model and hand its answer to `write`; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    write(answer(load(config.model), config.sample(), max_new_tokens=config.max_new_tokens))
    return 0


def answer(model: VideoLM, sample: Sample, *, max_new_tokens: int = 256) -> str:
    """The model's answer to one sample.

    Raises:
        SampleError: the video or image cannot be used.
    """
    batch = model.processor.collate([model.processor.prepare(sample, answer=False)], pad="left")
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    with torch.inference_mode():
        return model.eval().generate(batch.to(device), max_new_tokens=max_new_tokens, do_sample=False)[0]
