"""An agent as the runner sees it: it answers one item after the other, and each is on disk before the next begins."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from merv.agent.chain import Chain, ChainConfig
from merv.agent.preparing import Preparing
from merv.agent.windows import min_seconds
from merv.data.sample import Sample
from merv.errors import SampleError
from merv.evaluation.answering import about_model
from merv.evaluation.answers import Row, failed_row, row_of
from merv.evaluation.task import Task


class ChainAnswering:
    """Answers of an agent; videos are decoded in processes that outlive an item and can be killed for one."""

    def __init__(
        self,
        model: Any,
        task: Task,
        words: Sequence[str],
        config: ChainConfig,
        *,
        max_new_tokens: int,
        num_workers: int = 2,
        decode_deadline_s: float = 60.0,
    ) -> None:
        """Ask the roles of `model`.

        Args:
            model: A `merv.models.base:VideoLM` that plays the roles, on the device it is to run on.
            task: What is asked for.
            words: The roles, or `mupa`.
            config: Options of the agent.
            max_new_tokens: Longest reply of the answerer.
            num_workers: Processes that decode; 0 decodes here, where a file that hangs, hangs the evaluation.
            decode_deadline_s: Seconds one stretch of a video may take to decode before its item has failed.

        Raises:
            ConfigError: roles and paths do not fit together, or none of the task's samples can be answered.
        """
        self.model = model
        self.chain = Chain(
            model,
            words,
            config,
            min_seconds=min_seconds(task.name),
            max_new_tokens=max_new_tokens,
        )
        self.chain.check(task.samples(), task.name)
        self.max_new_tokens = max_new_tokens
        self.num_workers, self.decode_deadline_s = num_workers, decode_deadline_s

    @property
    def name(self) -> str:
        """What the folder of the answers is called after: the paths, or the roles of the chain."""
        paths = "-".join(map(str, self.chain.paths))
        return f"agent-paths-{paths}" if paths else f"agent-{'-'.join(self.chain.roles)}"

    def about(self) -> dict[str, Any]:
        """The model's config, how it generates, and the agent's options."""
        generation = {"max_new_tokens": self.max_new_tokens, "do_sample": False, "num_beams": 1}
        return {**about_model(self.model), "generation": generation, "agent": self.chain.about()}

    def rows(self, samples: Sequence[Sample], todo: Sequence[int]) -> Iterator[list[Row]]:
        """A row an item, as it is answered."""
        if not todo:
            return
        with Preparing(self.model.processor, num_workers=self.num_workers, deadline_s=self.decode_deadline_s) as ready:
            chain = self.chain.prepared_by(ready)
            for index in todo:
                yield [_row(chain, index, samples[index])]


def _row(chain: Chain, index: int, sample: Sample) -> Row:
    try:
        with torch.inference_mode():
            return row_of(index, chain.answer(sample))
    except SampleError as error:
        return failed_row(index, str(error))
