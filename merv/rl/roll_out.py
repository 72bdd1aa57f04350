"""A step of GRPO between its prompts and its loss: sample answers, score them, compare them within their group.

The loop calls it with the prompts of a step, once the step before is done: answers come from the model of that moment,
and a run that is resumed gives the same ones again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from merv.data.dataset import Source
from merv.data.sample import Batch
from merv.errors import MervError
from merv.models.base import VideoLM
from merv.models.prompted import Prompts
from merv.rl.advantages import advantages, spread, step_spread, without_spread
from merv.rl.answers import Answers, TrainerState
from merv.rl.batch import RolloutBatch
from merv.rl.completions import CompletionLog
from merv.rl.config import GrpoConfig
from merv.rl.loss import denominator, token_weights
from merv.rl.noise import seed_of
from merv.rl.rewards import Reward, score_all, total
from merv.rl.rollouts import Completions, Sampling, joined, sample_answers
from merv.training.strategies.base import Strategy, bare

log = logging.getLogger(__name__)


@dataclass
class RollOut:
    """Makes rollouts of prompts; what `merv.training.loop:Job.roll_out` wants."""

    model: nn.Module
    """The policy as `strategy.prepare` gave it."""
    strategy: Strategy
    config: GrpoConfig
    rewards: Sequence[Reward]
    source: Source
    """Where the rows of the prompts come from."""
    log: CompletionLog
    max_steps: int
    """Steps of the run."""
    seed: int = 7
    """Decides, with step, row and number of an answer, what is drawn."""
    _prompts_learn: bool | None = field(default=None, init=False)
    """Whether gradients reach the encoded prompts; None before the first were seen."""
    _warned: bool = field(default=False, init=False)

    def __call__(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Rollouts of a step (the first is 0), one batch for each batch of prompts.

        Raises:
            RunStopped: a reward is no number, or raised.
        """
        prompts, said, answers, scores, worth = self._tried(step, batches)
        grouped = worth.view(-1, self.config.num_generations)
        wide = step_spread(grouped, self.strategy.world).cpu() if self.config.scale_rewards == "batch" else None
        gains = advantages(grouped, self.config.scale_rewards, wide).flatten()
        columns = {"rewards": scores, "reward": worth, "advantage": gains, "tokens": said.present.sum(1)}
        names = [reward.name for reward in self.rewards]
        self.log.write(step + 1, answers, columns | {"truncated": said.truncated}, names=names)
        return self._rollouts(batches, prompts, said, gains, self._facts(scores, grouped, said))

    def _tried(self, step: int, batches: list[Batch]) -> tuple[list[Prompts], Completions, Answers, Tensor, Tensor]:
        """Prompts, answers and what they are worth: by each reward and in all.  Where one process fails, all end."""
        failed: MervError | None = None
        try:
            prompts, said = self.strategy.aside(self.model, partial(self._sample, step, batches))
            answers = self._answers(step, batches, said)
            scores = score_all(self.rewards, answers)
            worth = total(scores, self.config.weights)
        except MervError as error:
            failed = error
        self.strategy.world.together(failed)
        if not self._warned and bool(worth.isnan().any()):
            self._warned = True
            place = int(worth.isnan().nonzero()[0, 0])
            log.warning(
                "no reward applies to an answer to sample `%s`: all gave None; such answers teach nothing, and "
                "metrics count them as unrewarded",
                answers.ids[place],
            )
        return prompts, said, answers, scores, worth

    def _sample(self, step: int, batches: Sequence[Batch], model: VideoLM) -> tuple[list[Prompts], Completions]:
        """Encode every prompt and draw its answers, with dropout off."""
        learning = [module for module in model.modules() if module.training]
        for module in learning:
            module.training = False
        try:
            prompts = [self._encoded(model, batch) for batch in batches]
            seeds = [
                seed_of(self.seed, step, row, number)
                for batch in batches
                for row in batch.indices
                for number in range(self.config.num_generations)
            ]
            return prompts, sample_answers(model, joined(prompts), seeds, self._sampling)
        finally:
            for module in learning:
                module.training = True

    def _encoded(self, model: VideoLM, batch: Batch) -> Prompts:
        batch = batch.to(self.strategy.world.device)  # one at a time: pixels of a whole step may not fit
        if self._prompts_learn is not None:
            return model.prompts(batch)
        with torch.enable_grad():
            found = model.prompts(batch)
        self._prompts_learn = found.embeds.requires_grad
        return Prompts(found.embeds.detach(), found.mask, found.positions, found.roles)

    @property
    def _sampling(self) -> Sampling:
        config = self.config
        return Sampling(
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            max_new_tokens=config.max_completion_length,
            batch_size=config.rollout_batch_size,
        )

    def _answers(self, step: int, batches: Sequence[Batch], said: Completions) -> Answers:
        """The words of prompts and answers."""
        decode = partial(bare(self.model).language.tokenizer.decode, skip_special_tokens=True)
        prompts, samples = [], []
        for batch in batches:
            for row, index in enumerate(batch.indices):
                text = decode(batch.input_ids[row][batch.attention_mask[row]].tolist()).strip()
                prompts += [text] * self.config.num_generations
                samples += [self.source[index]] * self.config.num_generations
        ids, lengths = said.ids.tolist(), said.present.sum(1).tolist()
        completions = [decode(row[:length]).strip() for row, length in zip(ids, lengths, strict=True)]
        return Answers(completions, prompts, samples, TrainerState(step, self.max_steps))

    def _facts(self, scores: Tensor, grouped: Tensor, said: Completions) -> dict[str, tuple[float, float]]:
        """What is logged of this process's part of the step: sums and counts."""
        num_groups, num_answers = len(grouped), grouped.numel()
        num_scored = int((~grouped.isnan()).sum())
        facts: dict[str, tuple[float, float]] = {
            "reward": (float(grouped.nansum()), num_scored),
            "unrewarded": (num_answers - num_scored, num_answers),
            "reward_std": (float(spread(grouped).sum()), num_groups),
            "groups_without_spread": (int(without_spread(grouped).sum()), num_groups),
            "completion_tokens": (int(said.present.sum()), num_answers),
            "truncated": (int(said.truncated.sum()), num_answers),
        }
        for reward, values in zip(self.rewards, scores.T, strict=True):
            applies = values[~values.isnan()]
            facts[f"reward/{reward.name}"] = (float(applies.sum()), len(applies))
        return facts

    def _rollouts(
        self,
        batches: Sequence[Batch],
        prompts: Sequence[Prompts],
        said: Completions,
        gains: Tensor,
        facts: dict[str, tuple[float, float]],
    ) -> list[Batch]:
        """The step's micro-batches; the first brings the facts of all."""
        made: list[Batch] = []
        start = 0
        for batch, encoded in zip(batches, prompts, strict=True):
            rows = slice(start, start + batch.size * self.config.num_generations)
            start = rows.stop
            made.append(self._rollout(batch, encoded, said, gains, rows))
        made[0].facts = facts
        return made

    def _rollout(self, asked: Batch, prompts: Prompts, said: Completions, gains: Tensor, rows: slice) -> RolloutBatch:
        present, config = said.present[rows], self.config
        learned = present & ~said.truncated[rows, None] if config.mask_truncated else present
        width = max(1, int(present.any(0).sum()))
        present, learned = present[:, :width], learned[:, :width]
        return RolloutBatch(
            input_ids=asked.input_ids,
            labels=asked.labels,
            attention_mask=asked.attention_mask,
            visual_rows=asked.visual_rows,
            targets=asked.targets,
            sample_ids=asked.sample_ids,
            indices=asked.indices,
            asked=asked,
            prompts=None if self._prompts_learn else prompts,
            completions=said.ids[rows, :width],
            learned=learned,
            weights=token_weights(learned, config.loss_type, config.max_completion_length),
            advantages=gains[rows].to(present.device, torch.float32),
            num_losses=denominator(learned, config.loss_type),
            num_words=int(present.sum()),
        )
