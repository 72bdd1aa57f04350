"""A model that answers by a rule, and a task of it; a module of its own, so that other processes can import it."""

import os
from collections.abc import Callable
from pathlib import Path

from merv.data.sample import Sample, Turn
from merv.evaluation.runner import evaluate
from merv.evaluation.tasks.mcq import McqTask
from merv.models.base import VideoLM
from merv.models.multi_encoder.config import MultiEncoderConfig
from merv.video.media import MediaRef

from .byte_processor import ByteProcessor

OPTIONS = ["ring", "cross", "square"]


class RuleLM(VideoLM):
    """Says `says(prompt)`, and remembers the prompts it was asked."""

    def __init__(self, says: Callable[[str], str]) -> None:
        super().__init__()
        self.says = says
        self.processor = ByteProcessor()
        self.config = MultiEncoderConfig()
        self.asked: list[str] = []
        self.options: dict[str, object] = {}

    def parts(self):
        return {}

    def blocks(self):
        return []

    def forward(self, batch):
        raise AssertionError("no loss is asked for here")

    def respond(self, batch, **options):
        assert not self.training
        prompts = [bytes(row[row != 0].tolist()).decode() for row in batch.input_ids]
        self.asked += prompts
        self.options = options
        return [self.says(prompt) for prompt in prompts]


def question(number: int, folder: Path | None = None) -> Sample:
    """Question `number`, right answer number % 3; with a folder, about the video <number>.mp4 there."""
    return Sample(
        id=f"q{number}",
        turns=(Turn("user", f"question {number:03d}"),),
        media=() if folder is None else (MediaRef(folder / f"{number}.mp4"),),
        meta={"options": OPTIONS, "answer": number % 3, "kind": ("even", "odd")[number % 2]},
    )


def toy_task(size: int, folder: Path | None = None, name: str = "toy") -> McqTask:
    return McqTask(name, [question(number, folder) for number in range(size)])


def right_unless_big(prompt: str) -> str:
    """Right up to question 5, then always `cross`, and nothing readable for question 7."""
    if not prompt.startswith("question"):
        return "ring"
    number = int(prompt.split()[-1])
    return "no idea" if number == 7 else f"It is a {OPTIONS[number % 3 if number < 6 else 1]}."


def evaluate_as_rank(rank: int, world_size: int, out_dir: str, size: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))
    results = evaluate(
        RuleLM(right_unless_big), toy_task(size), batch_size=2, out_dir=Path(out_dir), max_new_tokens=8, num_workers=0
    )
    Path(out_dir, f"returned-{rank}").write_text(repr(results))
