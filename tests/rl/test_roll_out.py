"""A step between its prompts and its loss, on one process."""

from unittest import mock

import pytest
import torch
from models.qwen2_vl.role_rows import role_model
from torch import nn
from torch.testing import assert_close

from merv.data.dataset import Source
from merv.errors import ConfigError
from merv.models.freeze import set_stage
from merv.models.stage import LoraConfig, StageConfig
from merv.rl.completions import CompletionLog
from merv.rl.config import GrpoConfig
from merv.rl.policy import make_policy
from merv.rl.rewards import as_reward
from merv.rl.roll_out import RollOut
from merv.training.strategies.base import Precision, StrategyConfig
from merv.training.world import join_world

from .prompted_models import Prompted, prompted

SEEN = []


def variety(completions, ids, prompts, references, trainer_state):
    SEEN.append((ids, prompts, references, trainer_state.global_step, trainer_state.max_steps))
    return [float(len(set(text))) for text in completions]


def first_only(completions):
    return [1.0, *[None] * (len(completions) - 1)]


@pytest.fixture
def world():
    with join_world() as joined:
        yield joined


def merv_tiny(folder) -> Prompted:
    tiny = prompted("merv", folder)
    set_stage(tiny.model, "finetune", StageConfig())
    return tiny


def role_tiny(folder, lora=LoraConfig(rank=2, dropout=0.5)) -> Prompted:  # noqa: B008
    tiny = Prompted(role_model("answerer"), prompted("role", folder).samples)
    set_stage(tiny.model, "finetune", StageConfig(lora=lora))
    return tiny


def roll_out(tiny, world, folder, rewards=(variety,), **options) -> RollOut:
    names = [reward.__name__ for reward in rewards]
    sizes = {"num_generations": 3, "max_completion_length": 5, "reward": names, **options}
    strategy = StrategyConfig.new("single").build(world, Precision())
    policy = make_policy(tiny.model, beta=0.0, temperature=1.0)
    return RollOut(
        model=strategy.prepare(policy),
        strategy=strategy,
        config=GrpoConfig(**sizes),
        rewards=[as_reward(reward, name) for reward, name in zip(rewards, names, strict=True)],
        source=Source("rows", tiny.samples),
        log=CompletionLog(folder, every=1),
        max_steps=9,
    )


def test_rewards_see_a_whole_step_and_groups_stand_together(world, tmp_path):
    SEEN.clear()
    tiny = merv_tiny(tmp_path)

    made = roll_out(tiny, world, tmp_path)(4, [tiny.batch(1), tiny.batch(0)])

    [(ids, prompts, references, step, steps)] = SEEN
    assert ids == ["image"] * 3 + ["video"] * 3
    assert references == ["a star"] * 3 + ["a red ring"] * 3
    assert prompts[0].endswith("What is it?\nOut:")
    assert (step, steps) == (4, 9)
    assert [batch.sample_ids for batch in made] == [("image",), ("video",)]
    assert [len(batch.completions) for batch in made] == [3, 3]


def test_advantages_are_those_of_the_groups_and_reach_the_right_answers(world, tmp_path):
    tiny = merv_tiny(tmp_path)
    decode = tiny.model.language.tokenizer.decode

    made = roll_out(tiny, world, tmp_path, scale_rewards="none")(0, [tiny.batch(0, 1), tiny.batch(2)])

    for batch in made:
        worth = torch.tensor(
            [
                len(set(decode(ids[here].tolist(), skip_special_tokens=True).strip()))
                for ids, here in zip(batch.completions, batch.learned, strict=True)
            ]
        ).float()
        groups = worth.view(-1, 3)
        assert_close(batch.advantages, (groups - groups.mean(1, keepdim=True)).flatten())


def test_facts_of_the_step_stand_once(world, tmp_path):
    tiny = merv_tiny(tmp_path)

    first, second = roll_out(tiny, world, tmp_path, rewards=(variety, first_only))(0, [tiny.batch(0), tiny.batch(1)])

    assert second.facts == {}
    facts = first.facts
    assert facts["reward/first_only"] == (1.0, 1)
    assert facts["reward"][1] == facts["completion_tokens"][1] == facts["truncated"][1] == 6
    assert facts["reward_std"][1] == facts["groups_without_spread"][1] == 2
    assert facts["reward"][0] == facts["reward/variety"][0] + 1.0
    tokens = sum(int(batch.learned.sum()) for batch in (first, second))
    assert facts["completion_tokens"][0] == tokens == first.num_words + second.num_words


def test_answers_are_sampled_without_dropout_and_training_goes_on_with_it(world, tmp_path):
    tiny = role_tiny(tmp_path)
    step = roll_out(tiny, world, tmp_path)
    training = {name: module.training for name, module in tiny.model.named_modules()}
    during = []
    dropouts = [module for module in tiny.model.modules() if isinstance(module, nn.Dropout)]
    tiny.model.llm.model.get_decoder().layers[0].register_forward_pre_hook(
        lambda *_: during.append(any(module.training for module in dropouts))
    )

    step(0, [tiny.batch(0)])

    assert any(training.values())
    assert dropouts
    assert during
    assert not any(during)
    assert {name: module.training for name, module in tiny.model.named_modules()} == training


@pytest.mark.parametrize(("make", "learns"), [(merv_tiny, True), (role_tiny, False)])
def test_encoded_prompts_are_kept_where_no_gradient_reaches_them(make, learns, world, tmp_path):
    tiny = make(tmp_path)

    [batch] = roll_out(tiny, world, tmp_path)(0, [tiny.batch(0, 1)])

    assert (batch.prompts is None) == learns
    if not learns:
        assert not batch.prompts.embeds.requires_grad
        with mock.patch.object(type(tiny.model), "prompts", side_effect=AssertionError("encoded once more")):
            output = tiny.model(batch)
        output.loss_sum.backward()


def test_a_step_is_drawn_again_alike_and_another_step_otherwise(world, tmp_path):
    tiny = merv_tiny(tmp_path)
    step = roll_out(tiny, world, tmp_path)

    [first], [again], [later] = (step(number, [tiny.batch(0, 1)]) for number in (3, 3, 4))

    assert torch.equal(first.completions, again.completions)
    assert not torch.equal(first.completions, later.completions)


def test_nothing_is_learnt_from_truncated_answers_where_so_asked(world, tmp_path):
    tiny = merv_tiny(tmp_path)
    end = tiny.model.language.end_ids[0]

    [batch] = roll_out(tiny, world, tmp_path, mask_truncated=True, num_generations=12)(0, [tiny.batch(0, 1)])

    ends = (batch.completions == end).any(1)
    assert torch.equal(batch.learned.any(1), ends)
    assert batch.num_losses == 24, "they count among the answers"
    tiny.model(batch).loss_sum.backward()


def test_a_role_that_finds_moments_is_refused(world, tmp_path):
    tiny = Prompted(role_model("grounder"), prompted("role", tmp_path).samples)

    with pytest.raises(ConfigError, match="role grounder finds moments with a head; only roles that answer in words"):
        roll_out(tiny, world, tmp_path)(0, [tiny.batch(0)])


def test_prompts_go_to_the_device_one_micro_batch_at_a_time(world, tmp_path):
    tiny = merv_tiny(tmp_path)
    asked = [tiny.batch(0), tiny.batch(1)]

    made = roll_out(tiny, world, tmp_path)(0, asked)

    assert [batch.asked for batch in made] == asked, "where the loader left them"
