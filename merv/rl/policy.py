"""Any video-language model as the policy of GRPO: its forward pass weighs answers by their advantage.

The class of the model is replaced by one derived from it, as torch's fully_shard does, so that strategies, checkpoints
and exports see the model they know, tensor names included.
"""

from pathlib import Path

import torch
from torch import Tensor, nn, no_grad

from merv.data.sample import Batch
from merv.models.base import Output, VideoLM
from merv.models.prompted import Prompts
from merv.rl.batch import RolloutBatch
from merv.rl.loss import divergence, policy_loss
from merv.rl.reference import Reference
from merv.rl.rollouts import completion_log_probs
from merv.training.world import World


class Policy(VideoLM):
    """What GRPO adds to a family; `make_policy` derives a class from both."""

    beta: float
    """Weight of the divergence from the reference."""
    temperature: float
    reference: Reference | None
    """The model the run started from; None with `beta` 0."""

    def forward(self, batch: Batch) -> Output:
        """Loss of sampled answers, summed as their batch weighs them; other batches as the family does."""
        if not isinstance(batch, RolloutBatch):
            return super().forward(batch)  # type: ignore[safe-super]  # the family's
        prompts = self.prompts(batch.asked) if batch.prompts is None else batch.prompts
        log_probs = self._log_probs(self, prompts, batch)
        weights = batch.weights[batch.learned]
        gains = batch.advantages[:, None].expand_as(batch.weights)[batch.learned]
        loss_sum = (policy_loss(log_probs, gains) * weights).sum()
        logged: dict[str, Tensor] = {}
        if self.reference is not None:
            distance = (divergence(log_probs, self._of_reference(batch)) * weights).sum()
            loss_sum = loss_sum + self.beta * distance
            logged["kl"] = distance
        return Output(loss_sum, batch.learned.sum(), logged=logged)

    def blocks(self) -> list[nn.Module]:
        """The family's, and those the reference does not share with it."""
        own = super().blocks()  # type: ignore[safe-super]
        return own if self.reference is None else [*own, *self.reference.blocks(own)]

    def use_feature_cache(self, folder: Path, dtype: torch.dtype) -> None:
        """Keep what frozen encoders give, for the reference too: batches may come without their frames."""
        super().use_feature_cache(folder, dtype)
        if self.reference is not None:
            self.reference.model.use_feature_cache(folder, dtype)

    def station_tokens(self, batch: Batch) -> dict[str, int]:
        """Prompts are encoded once; the last station, the LLM, handles them with every answer."""
        if not isinstance(batch, RolloutBatch):
            return super().station_tokens(batch)
        tokens = super().station_tokens(batch.asked)
        llm = "llm" if "llm" in tokens else list(tokens)[-1]
        return {**tokens, llm: tokens[llm] * batch.num_generations + batch.num_words}

    def _log_probs(self, model: VideoLM, prompts: Prompts, batch: RolloutBatch) -> Tensor:
        repeated = prompts.repeat(batch.num_generations)
        with model.talking(repeated):
            return completion_log_probs(
                model, repeated, batch.completions, batch.learned, temperature=self.temperature
            )

    def _of_reference(self, batch: RolloutBatch) -> Tensor:
        assert self.reference is not None
        with no_grad(), self.reference.speaking() as model:
            prompts = model.prompts(batch.asked) if batch.prompts is None else batch.prompts
            repeated = prompts.repeat(batch.num_generations)
            with model.talking(repeated), self.reference.silence():
                return completion_log_probs(
                    model, repeated, batch.completions, batch.learned, temperature=self.temperature
                )


def make_policy(model: VideoLM, *, beta: float, temperature: float, world: World | None = None) -> Policy:
    """Turn a model, in place and before a strategy prepares it, into the policy that starts from it.

    With a world this is a collective.
    """
    reference = Reference(model, world) if beta else None  # of the model as it is now
    model.__class__ = type(f"{type(model).__name__}Policy", (Policy, type(model)), {})
    assert isinstance(model, Policy)
    model.beta, model.temperature, model.reference = beta, temperature, reference
    return model
