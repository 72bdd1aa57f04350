"""Who answers: the contract of the runner, and a model that is asked batch by batch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import draccus
import torch

from merv.data.sample import Batch, Sample
from merv.evaluation.answers import Row, failed_row, row_of
from merv.evaluation.questions import Questions, grouped
from merv.models.answering import device_of
from merv.models.base import ModelConfig, VideoLM
from merv.models.reply import Reply


class Answering(Protocol):
    """What the runner asks for answers."""

    def about(self) -> dict[str, Any]:
        """What decides the answers beside the task, for the card; another value is another evaluation."""

    def rows(self, samples: Sequence[Sample], todo: Sequence[int]) -> Iterator[list[Row]]:
        """Rows of the samples whose numbers are in `todo`, as they are answered, each once, in any order.

        A row is made by `merv.evaluation.answers:row_of` or `merv.evaluation.answers:failed_row`.
        """


class ModelAnswering:
    """A model's answers to batches of prompts, decoded ahead by workers."""

    def __init__(
        self,
        model: VideoLM,
        *,
        batch_size: int,
        max_new_tokens: int,
        num_workers: int = 2,
        decode_deadline_s: float = 60.0,
    ) -> None:
        """Ask `model`.

        Args:
            model: What is asked, on the device it is to run on.
            batch_size: Prompts answered at a time.
            max_new_tokens: Longest answer.
            num_workers: Processes that decode ahead; 0 decodes here.
            decode_deadline_s: Seconds one item may take to decode before it has failed.
        """
        self.model = model
        self.batch_size = batch_size
        self.num_workers, self.decode_deadline_s = num_workers, decode_deadline_s
        self.generation = {"max_new_tokens": max_new_tokens, "do_sample": False, "num_beams": 1}

    def about(self) -> dict[str, Any]:
        """The model's config, and how it generates."""
        return {**about_model(self.model), "generation": self.generation}

    def rows(self, samples: Sequence[Sample], todo: Sequence[int]) -> Iterator[list[Row]]:
        """The rows of one batch after the other."""
        self.model.eval()
        questions = Questions(self.model.processor, grouped(samples, todo, self.batch_size))
        with questions.loader(num_workers=self.num_workers, decode_deadline_s=self.decode_deadline_s) as loader:
            for groups, batch in zip(questions.batches, loader, strict=True):
                replies = dict(zip(batch.indices, self._reply(batch), strict=True))
                asked = sorted(index for group in groups for index in group.indices)
                yield [_row(index, replies, questions.reasons) for index in asked]

    def _reply(self, batch: Batch) -> list[Reply]:
        """Replies to a batch; none when nothing in it could be prepared."""
        if not batch.indices:
            return []
        with torch.inference_mode():
            return self.model.reply(batch.to(device_of(self.model)), **self.generation)


def about_model(model: VideoLM) -> dict[str, Any]:
    """A model's config, with what is compared most standing out."""
    config = draccus.encode(model.config, ModelConfig)
    return {
        "frames": config.get("num_frames"),
        "resize": config.get("image_resize_strategy"),
        "model_config": config,
    }


def _row(index: int, replies: Mapping[int, Reply], reasons: Mapping[int, str]) -> Row:
    return row_of(index, replies[index]) if index in replies else failed_row(index, reasons[index])
