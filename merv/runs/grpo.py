"""One GRPO run from config to finished folder: `scripts/train_grpo.py`, `merv train-grpo`."""

from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from merv.data.dataset import Source
from merv.errors import ConfigError
from merv.models.base import VideoLM
from merv.rl.completions import CompletionLog
from merv.rl.policy import make_policy
from merv.rl.prompting import PromptPreparer
from merv.rl.reward_files import find_reward
from merv.rl.rewards import Reward
from merv.rl.roll_out import RollOut
from merv.runs.grpo_config import GrpoRunConfig
from merv.runs.method import Method, Reading
from merv.runs.pretrain import pretrain
from merv.runs.pretrain_config import PretrainConfig
from merv.training.curves_of_runs import plot_runs
from merv.training.loop import Job
from merv.training.strategies.base import bare
from merv.training.world import World


def grpo(config: GrpoRunConfig) -> int:
    """Train a model from rewards; gives the exit status.

    Raises:
        MervError: something the user can mend, in one line.
    """
    return pretrain(config, GrpoMethod())


class GrpoMethod(Method):
    """Learns from what the model says itself and what rewards say to that."""

    def __init__(self) -> None:
        """The rewards are found once the data is known."""
        self.rewards: list[Reward] = []

    def check(self, config: PretrainConfig, source: Source) -> None:
        """Find the rewards.

        Raises:
            ConfigError: one is not there, does not fit the data, or two have one name; or the system prompt's file is
                missing.
        """
        assert isinstance(config, GrpoRunConfig)
        self.rewards = [find_reward(name, source, config.reward_options.get(name, {})) for name in config.reward]
        names = [reward.name for reward in self.rewards]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"two rewards are called `{twice}`; they share a column of the metrics: rename one")
        config.system_text()
        for reward in self.rewards:
            reward.check(source)

    def begin(self, config: PretrainConfig, model: VideoLM, world: World) -> None:
        """Turn the model into a policy."""
        assert isinstance(config, GrpoRunConfig)
        make_policy(model, beta=config.beta, temperature=config.temperature, world=world)

    def reading(self, config: PretrainConfig, model: VideoLM) -> Reading:
        """Rows become prompts."""
        assert isinstance(config, GrpoRunConfig)
        processor = model.processor
        return Reading(PromptPreparer(processor, config.system_text()), partial(processor.collate, pad="left"))

    def complete(self, config: PretrainConfig, job: Job, source: Source) -> Job:
        """Let the job sample answers."""
        assert isinstance(config, GrpoRunConfig)
        world = job.strategy.world
        log = CompletionLog(
            config.run_dir,
            every=config.log_completions,
            rank=world.rank,
            world_size=world.size,
            resume_step=job.first_step,
        )
        job.roll_out = RollOut(
            model=job.model,
            strategy=job.strategy,
            config=config,
            rewards=self.rewards,
            source=source,
            log=log,
            max_steps=job.num_steps,
            seed=config.seed,
        )
        return job

    def end(self, model: nn.Module) -> None:
        """Let the reference go."""
        policy: Any = bare(model)
        policy.reference = None

    def draw(self, run_dir: Path) -> None:
        """The reward's course: the value of the loss is near 0 whatever is learned."""
        plot_runs([run_dir], run_dir / "reward.png", metric="reward")
