import asyncio
import gc
import math
import sys
from functools import partial

import pytest
import torch

from merv.errors import ConfigError, RunStopped
from merv.rl.rewards import as_reward, score_all, total

from .questions import asked, said


def length(completions):
    return [float(len(text)) for text in completions]


def with_columns(completions, solution, ids, **columns):
    return [float(text == right) for text, right in zip(completions, solution, strict=True)]


def with_everything(completions, **columns):
    assert {"prompts", "completions", "references", "solution", "ids", "samples", "kind"} <= columns.keys() | {
        "completions"
    }
    return [float(columns["trainer_state"].global_step)] * len(completions)


def with_default(completions, nowhere=2.0):
    return [nowhere] * len(completions)


def two_lists(responses, references):
    return [float(text in right) for text, right in zip(responses, references, strict=True)]


async def later(completions, **columns):
    await asyncio.sleep(0)
    return length(completions)


class OfAClass:
    def __call__(self, completions, **columns):
        return length(completions)


class OfAnAsyncClass:
    async def __call__(self, completions, **columns):
        return length(completions)


def some_only(completions):
    return [None if text == "?" else 1 for text in completions]


def a_tensor(completions):
    return torch.ones(len(completions))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (length, [4, 6]),
        (with_columns, [0, 1]),
        (with_everything, [3, 3]),
        (with_default, [2, 2]),
        (two_lists, [1, 1]),
        (later, [4, 6]),
        (OfAClass, [4, 6]),
        (OfAClass(), [4, 6]),
        (OfAnAsyncClass, [4, 6]),
        (a_tensor, [1, 1]),
        (lambda completions, **_: [True, False], [1, 0]),
        (lambda answers, truths: [1, 2], [1, 2]),
        (lambda answers, references=None: [len(references), 2], [2, 2]),
        (lambda completions, references, /: [1, 2], [1, 2]),
        (partial(lambda worth, completions, **_: [worth] * len(completions), 3), [3, 3]),
    ],
)
def test_a_reward_may_have_any_of_these_forms(made, expected):
    samples = [asked(f"row-{n}", meta={"kind": "shape"}) for n in range(2)]

    scores = score_all([as_reward(made, "mine")], said("ring", "a ring", samples=samples))

    assert scores.tolist() == [[value] for value in expected]


def test_async_rewards_run_at_the_same_time():
    order = []

    async def first(completions):
        order.append("first begins")
        await asyncio.sleep(0.01)
        order.append("first ends")
        return [1.0]

    async def second(completions):
        order.append("second begins")
        return [2.0]

    scores = score_all([as_reward(first, "first"), as_reward(second, "second")], said("a"))

    assert order == ["first begins", "second begins", "first ends"]
    assert scores.tolist() == [[1.0, 2.0]]


def test_async_rewards_work_where_an_event_loop_runs_already():
    async def notebook():
        return score_all([as_reward(later, "later")], said("a"))

    assert asyncio.run(notebook()).tolist() == [[1.0]]


class Counts:
    """Keeps what belongs to one event loop, as clients of endpoints do."""

    def __init__(self):
        self.limit = asyncio.Semaphore(1)
        self.calls = 0

    async def one(self):
        async with self.limit:
            await asyncio.sleep(0)
            self.calls += 1
            return float(self.calls)

    async def __call__(self, completions, **columns):
        return await asyncio.gather(*(self.one() for _ in completions))


def test_a_class_keeps_what_it_made_from_one_step_to_the_next():
    reward = as_reward(Counts, "counts")

    steps = [score_all([reward], said("a", "b")).flatten().tolist() for _ in range(3)]

    assert steps == [[1, 2], [3, 4], [5, 6]]


def test_no_async_reward_is_left_waiting_where_another_raises(recwarn):
    with pytest.raises(RunStopped, match="reward `mine` raised KeyError"):
        score_all([as_reward(later, "later"), as_reward(raises, "mine")], said("a"))

    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_solution_the_rows_bring_is_the_reference_where_no_answer_is():
    samples = [asked("one", meta={"solution": "B"}), asked("two", None, meta={"solution": "C"})]

    columns = said("a", "b", samples=samples).columns()

    assert columns["solution"] == ["B", "C"]
    assert columns["references"] == ["a ring", "C"]


def test_a_column_is_what_all_samples_have_in_meta_and_ours_come_first():
    samples = [
        asked("one", meta={"kind": "shape", "ids": "theirs", "own": 1}),
        asked("two", None, meta={"kind": "order", "ids": "theirs"}),
    ]

    columns = said("a", "b", samples=samples).columns()

    assert columns["kind"] == ["shape", "order"]
    assert columns["ids"] == ["one", "two"]
    assert columns["references"] == columns["solution"] == ["a ring", None]
    assert "own" not in columns


def test_none_takes_the_weight_of_a_reward_away_from_that_answer_alone():
    rewards = [as_reward(some_only, "some"), as_reward(length, "length")]

    scores = score_all(rewards, said("?", "ab"))

    assert math.isnan(scores[0, 0])
    assert total(scores, [10.0, 0.5]).tolist() == [0.5, 11.0]


def test_an_answer_no_reward_applies_to_has_none():
    scores = score_all([as_reward(some_only, "some")], said("a", "?"))

    worth = total(scores, [1.0])

    assert not math.isnan(worth[0])
    assert math.isnan(worth[1])


def raises(completions):
    raise KeyError("vase\nand more")


async def raises_later(completions):
    raises(completions)


@pytest.mark.parametrize("made", [raises, raises_later])
def test_a_reward_that_raises_is_named_with_its_samples_and_its_line(made):
    with pytest.raises(
        RunStopped, match=r"reward `mine` raised KeyError: .*test_rewards\.py:\d+.*row-0, row-1"
    ) as found:
        score_all([as_reward(made, "mine")], said("a", "b"))

    assert "\n" not in str(found.value)


def test_a_reward_cannot_end_the_run_silently():
    with pytest.raises(RunStopped, match="reward `mine` raised SystemExit: 0"):
        score_all([as_reward(lambda completions: sys.exit(0), "mine")], said("a"))


def test_many_samples_are_counted_not_listed():
    with pytest.raises(RunStopped, match=r"row-7 and 4 more$"):
        score_all([as_reward(raises, "mine")], said(*"abcdefghijkl"))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ([1.0], "gave 1 values for 2 completions; give one for each"),
        (0.5, "gave float; expected a list"),
        (None, "gave NoneType; expected a list"),
        ([1.0, math.nan], "is nan for an answer to sample `row-1`; give a finite number, or None"),
        ([math.inf, 1.0], "is inf for an answer to sample `row-0`"),
        (["1", 1.0], "is '1' for an answer to sample `row-0`"),
        ([1e300, 1.0], r"is 1e\+300 for an answer to sample `row-0`"),
        ([10**400, 1.0], r"is 10{50,70} for an answer to sample `row-0`"),
        ([[1], 1.0], r"is \[1\] for an answer to sample `row-0`"),
    ],
)
def test_values_that_are_no_rewards_are_refused(value, line):
    with pytest.raises(RunStopped, match=f"reward `mine` {line}"):
        score_all([as_reward(lambda completions: value, "mine")], said("a", "b"))


class NeedsAnArgument:
    def __init__(self, path):
        pass


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (3, "`mine` is int; expected a function"),
        (NeedsAnArgument, "its class cannot be made without arguments: TypeError: .*path"),
        (lambda one: [1], r"takes \(one\); expected \(completions, \*\*columns\) or \(responses, references\)"),
        (lambda one, two, three: [1], r"takes \(one, two, three\)"),
        (lambda: [1], r"takes \(\)"),
        (lambda completions, /, **columns: [1], r"takes \(completions, /, \*\*columns\)"),
    ],
)
def test_what_is_no_reward_is_refused(made, line):
    with pytest.raises(ConfigError, match=line):
        as_reward(made, "mine")


def test_a_column_nobody_has_is_refused_with_those_there_are():
    def mine(completions, refrences):
        return [1.0]

    with pytest.raises(ConfigError, match=r"reward `mine` asks for `refrences`, which .*; did you mean `references`"):
        score_all([as_reward(mine, "mine")], said("a"))


def test_a_column_a_row_lacks_is_refused_before_anything_is_built():
    def mine(completions, kind, weight=1.0):
        return [1.0]

    as_reward(mine, "mine").check([asked("one", meta={"kind": "shape"})])
    with pytest.raises(
        ConfigError, match="`mine` asks for `kind`, which row `two` does not have; there are completions"
    ):
        as_reward(mine, "mine").check([asked("one", meta={"kind": "shape"}), asked("two")])
